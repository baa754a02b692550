"""Wording of the page itself: its title, its headings, words used all over it.

Invariant: as for `slopewise.report.messages`, which joins these tables. It is separate so that each
table can be read on a few screens.
"""

PAGE: dict[str, tuple[str, str]] = {
    "title": (
        "Slopewise report: {target}, learnt from {source}",
        "Slopewise 보고서: 목표 열 {target}, 표 {source}",
    ),
    "heading": ("Learning {target}", "{target} 열의 학습"),
    "lead.classification": (
        "A model that tells which of {classes} classes a row has in the column {target}, from "
        "{columns} other columns of {source}. It was learnt by gradient descent, and this page "
        "shows how.",
        "{source} 표의 다른 열 {columns}개로 {target} 열의 클래스 {classes}개 중 하나를 예측하는 "
        "모델입니다. 경사하강법으로 학습했고, 그 과정을 여기에 보여 줍니다.",
    ),
    "lead.regression": (
        "A model that predicts the number in the column {target} from {columns} other columns of "
        "{source}. It was learnt by gradient descent, and this page shows how.",
        "{source} 표의 다른 열 {columns}개로 {target} 열의 수를 예측하는 모델입니다. "
        "경사하강법으로 학습했고, 그 과정을 여기에 보여 줍니다.",
    ),
    "contents": ("Contents", "차례"),
    "footer": (
        "Written by Slopewise {version}. This file needs no network and runs no script.",
        "Slopewise {version} 버전이 만들었습니다. 이 파일은 네트워크 없이 열리고 스크립트를 쓰지 "
        "않습니다.",
    ),
    "summary": ("What was trained on what", "무엇을 무엇으로 학습했나"),
    "steps": ("The run in five steps", "다섯 단계로 본 이번 학습"),
    "loss": ("Loss curves", "손실 곡선"),
    "gradients": ("Gradient of each layer", "층별 그래디언트"),
    "confusion": ("Confusion matrix", "혼동 행렬"),
    "scatter": ("Predicted against true", "예측값과 실제값"),
    "worst": ("Rows with the largest error", "오차가 가장 큰 행"),
    "use": ("Using the model again", "모델 다시 쓰기"),
    "repeat": ("Reproducing the run", "같은 결과 다시 얻기"),
    "side.test": ("test", "시험"),
    "side.validation": ("validation", "검증"),
    "yes": ("yes", "예"),
    "no": ("no", "아니요"),
    "cell.missing": ("(missing)", "(값 없음)"),
    "cell.empty": ("(empty text)", "(빈 글자)"),
    "source.array": ("the table given as arrays", "배열로 준"),
    "numbers": ("The same as numbers", "같은 내용을 수로"),
    "no_rows": (
        "Neither test nor validation rows are there, so there is nothing to compare.",
        "시험 행도 검증 행도 없어서 비교할 것이 없습니다.",
    ),
    "instead": (
        "There are no test rows: what follows is of the validation rows, by which the best epoch "
        "was chosen, so it may look better than new rows will.",
        "시험 행이 없어서 아래는 검증 행의 결과입니다. 가장 좋은 에포크를 검증 행으로 골랐으므로 "
        "새로운 행에서보다 좋게 보일 수 있습니다.",
    ),
}
