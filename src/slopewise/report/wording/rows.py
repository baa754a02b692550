"""Wording of what compares rows with the truth: confusion, residuals, the worst rows.

Invariant: as for `slopewise.report.messages`, which joins these tables. It is separate so that each
table can be read on a few screens.
"""

ROWS: dict[str, tuple[str, str]] = {
    "confusion.caption": (
        "Each line is a true class, each column a predicted one: the number of {side} rows, and "
        "under it the per cent of that true class. On the diagonal the prediction is right.",
        "가로줄은 실제 클래스, 세로줄은 예측한 클래스입니다. {side} 행의 수와 그 아래에 실제 "
        "클래스 안의 비율을 적었습니다. 대각선이 맞은 예측입니다.",
    ),
    "confusion.right": ("Right: {right} of {rows} rows.", "맞은 행: {rows}개 중 {right}개."),
    "confusion.corner": ("true ↓ predicted →", "실제 ↓ 예측 →"),
    "confusion.total": ("rows", "행"),
    "confusion.many": (
        "{classes} classes are too many for a matrix that can be read. The pairs that were "
        "confused most often:",
        "클래스가 {classes}개라 행렬로는 읽기 어렵습니다. 가장 자주 혼동한 쌍은 다음과 같습니다.",
    ),
    "confusion.pairs": ("Confused most often:", "가장 자주 혼동한 쌍:"),
    "confusion.none": ("No row was confused.", "혼동한 행이 없습니다."),
    "confusion.cut": (
        "{shown} of {count} confused pairs are shown.",
        "혼동한 쌍 {count}개 중 {shown}개를 보였습니다.",
    ),
    "confusion.weak": (
        "Classes that were recognised least often:",
        "가장 알아보지 못한 클래스는 다음과 같습니다.",
    ),
    "confusion.absent": (
        "Classes without a row among these: {count}.",
        "여기에 행이 하나도 없는 클래스: {count}개.",
    ),
    "pair.truth": ("true class", "실제 클래스"),
    "pair.prediction": ("predicted class", "예측한 클래스"),
    "pair.rows": ("rows", "행"),
    "pair.share": ("of the true class", "실제 클래스 중 비율"),
    "class.right": ("right", "맞음"),
    "scatter.alt": (
        "Predicted against true values of {rows} rows.",
        "행 {rows}개의 예측값과 실제값.",
    ),
    "scatter.caption": (
        "Predicted against true value of {rows} {side} rows. On the line the prediction is right.",
        "{side} 행 {rows}개의 예측값과 실제값. 선 위의 점은 정확한 예측입니다.",
    ),
    "scatter.residual": (
        "What is left over, true minus predicted. Points should lie around 0 with no trend and no "
        "funnel.",
        "남은 차이(실제값 − 예측값). 점들이 기울거나 벌어지지 않고 0 둘레에 놓이는 것이 좋습니다.",
    ),
    "scatter.residual.alt": (
        "Residuals of {rows} rows against the predicted value.",
        "예측값에 따른 행 {rows}개의 잔차.",
    ),
    "scatter.dense": (
        "So many rows are drawn as fields: the darker, the more rows.",
        "행이 많아서 칸으로 그렸습니다. 짙을수록 행이 많습니다.",
    ),
    "scatter.hidden": (
        "Rows left out because a value is infinite, NaN or too large to draw: {count}.",
        "무한대, NaN 또는 그리기에 너무 큰 값이라 뺀 행: {count}개.",
    ),
    "scatter.spread": (
        "Half of the residuals are at most {half} in size, nine of ten at most {most}; their mean "
        "is {mean}.",
        "잔차 크기: 절반은 {half} 이하, 열에 아홉은 {most} 이하. 잔차의 평균: {mean}.",
    ),
    "worst.caption": (
        "The {side} rows with the largest loss: {count}. Look here for wrong labels, unusual "
        "rows, and what the columns do not say.",
        "손실이 가장 큰 {side} 행 {count}개입니다. 잘못 붙은 라벨, 특이한 행, 열에 담기지 않은 "
        "사정이 있는지 살펴보십시오.",
    ),
    "worst.rows_note": (
        "Rows are counted from 1, without the header.",
        "행 번호는 제목 줄을 빼고 1부터 셉니다.",
    ),
    "worst.none": ("There are no rows to list.", "적을 행이 없습니다."),
    "worst.row": ("row", "행"),
    "worst.truth": ("true", "실제"),
    "worst.prediction": ("predicted", "예측"),
    "worst.probability": ("probability of the true class", "실제 클래스의 확률"),
    "worst.loss": ("loss", "손실"),
    "worst.residual": ("true − predicted", "실제 − 예측"),
    "worst.more": (
        "{shown} of {count} columns are shown here.",
        "열 {count}개 중 {shown}개를 보였습니다.",
    ),
    "worst.all": ("More columns of these rows", "이 행들의 다른 열"),
    "worst.cut": (
        "Further columns are not shown here: {count}. The row numbers lead to them in the table.",
        "여기에 적지 않은 열: {count}개. 행 번호로 표에서 찾을 수 있습니다.",
    ),
}
