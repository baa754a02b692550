"""Wording of the summary: facts of the run, figures of merit, candidates, columns.

Invariant: as for `slopewise.report.messages`, which joins these tables. It is separate so that each
table can be read on a few screens.
"""

SUMMARY: dict[str, tuple[str, str]] = {
    "fact.table": ("Table", "표"),
    "fact.target": ("Target", "목표 열"),
    "fact.task": ("Task", "과제"),
    "fact.rows": ("Rows", "행"),
    "fact.columns": ("Columns", "열"),
    "fact.split": ("Split", "나누기"),
    "fact.model": ("Model", "모델"),
    "fact.training": ("Training", "학습"),
    "fact.best": ("Best epoch", "가장 좋은 에포크"),
    "task.classification": ("classification, {classes} classes", "분류, 클래스 {classes}개"),
    "task.regression": ("regression (a number)", "회귀 (수)"),
    "rows.all": ("{rows}, all used", "{rows}개, 모두 사용"),
    "rows.some": ("{rows}, of which {used} used", "{rows}개 중 {used}개 사용"),
    "columns.count": (
        "{columns} used, which became {inputs} inputs of the network",
        "{columns}개 사용, 신경망의 입력 {inputs}개로 변환",
    ),
    "split.plain": (
        "{train} train, {validation} validate, {test} test",
        "학습 {train}개, 검증 {validation}개, 시험 {test}개",
    ),
    "split.folds": (
        "{test} test; {train} train and validate in {folds} folds: each of {folds} networks "
        "validates on one fold and trains on the others, and their outputs are averaged",
        "시험 {test}개. 나머지 {train}개는 폴드 {folds}개로 나눔: 신경망 {folds}개가 각각 폴드 "
        "하나로 검증하고 나머지로 학습하며, 그 출력을 평균함",
    ),
    "model.linear": ("linear, without hidden layers", "선형 모델 (은닉층 없음)"),
    "model.hidden": (
        "hidden layers of width {widths} with activation {activation}",
        "너비 {widths} 은닉층, 활성화 함수 {activation}",
    ),
    "model.batch": ("batch normalisation", "배치 정규화"),
    "model.layer": ("layer normalisation", "층 정규화"),
    "model.path": ("a linear path beside them", "은닉층을 거치지 않는 선형 경로"),
    "model.members": ("{members} networks", "신경망 {members}개"),
    "model.parameters": ("{parameters} learnt numbers in all", "학습한 수 모두 {parameters}개"),
    "training.text": (
        "{optimizer}, learning rate {lr}, batches of {batch} rows; {epochs} epochs in {seconds}",
        "{optimizer}, 학습률 {lr}, 배치 크기 {batch}행, 에포크 {epochs}개, 걸린 시간 {seconds}",
    ),
    "training.compared": (
        "{optimizer}, learning rate {lr}, batches of {batch} rows; {epochs} epochs; {seconds} for "
        "all {count} networks compared",
        "{optimizer}, 학습률 {lr}, 배치 크기 {batch}행, 에포크 {epochs}개, 비교한 모델 "
        "{count}개의 학습에 걸린 시간 {seconds}",
    ),
    "best.text": ("{epoch} of {epochs}", "에포크 {epochs}개 중 {epoch}번째"),
    "best.none": ("no epoch was finished", "끝난 에포크 없음"),
    "metrics": ("How well it predicts", "얼마나 잘 예측하나"),
    "metric": ("figure", "지표"),
    "metric.meaning": ("meaning", "뜻"),
    "metric.rows": ("rows", "행"),
    "metric.rows.meaning": ("rows that the figures rest on", "지표를 계산한 행의 수"),
    "metric.accuracy": ("accuracy", "정확도"),
    "metric.accuracy.meaning": ("share of rows predicted right", "맞게 예측한 행의 비율"),
    "metric.log_loss": ("log loss", "로그 손실"),
    "metric.log_loss.meaning": (
        "mean of −ln(probability of the true class); 0 is perfect, an even guess has {guess}",
        "−ln(실제 클래스의 확률) 평균. 0은 완벽, 모두 같은 확률로 찍으면 {guess}",
    ),
    "metric.roc_auc": ("ROC AUC", "ROC AUC"),
    "metric.roc_auc.meaning": (
        "chance that a member of a class is ranked above a non-member; 0.5 is guessing",
        "클래스에 속한 행이 아닌 행보다 높은 점수를 받을 확률. 0.5는 찍기",
    ),
    "metric.r2": ("R²", "R² (결정계수)"),
    "metric.r2.meaning": (
        "share of the variance explained; 0 is always predicting the mean, 1 is perfect",
        "설명한 분산의 비율. 0은 늘 평균으로 예측, 1은 완벽",
    ),
    "metric.rmse": ("RMSE", "RMSE (평균제곱근오차)"),
    "metric.rmse.meaning": (
        "root of the mean squared error, in units of the target",
        "오차 제곱의 평균의 제곱근, 목표 열의 단위",
    ),
    "metric.mae": ("MAE", "MAE (평균절대오차)"),
    "metric.mae.meaning": (
        "mean size of the error, in units of the target",
        "오차 크기의 평균, 목표 열의 단위",
    ),
    "metrics.note": (
        "Test rows were used for nothing else, so their figures tell what to expect of new rows. "
        "Validation rows chose the best epoch and the model.",
        "시험 행은 다른 곳에 쓰지 않았으므로 새로운 행에서 기대할 수 있는 값입니다. 검증 행은 "
        "가장 좋은 에포크와 모델을 고르는 데 썼습니다.",
    ),
    "metrics.no_test": (
        "There are no test rows, so nothing here tells what to expect of new rows.",
        "시험 행이 없어서 새로운 행에서 기대할 수 있는 값은 알 수 없습니다.",
    ),
    "notices": ("Please note", "알아 둘 것"),
    "candidates": ("Networks compared: {count}", "비교한 모델: {count}개"),
    "candidates.note": (
        "The plainest one whose validation loss lies within one standard error of the least was "
        "chosen.",
        "검증 손실이 가장 작은 모델과 표준오차 하나 안에 있는 것 가운데 가장 단순한 모델을 "
        "골랐습니다.",
    ),
    "candidate": ("network", "모델"),
    "candidate.loss": ("validation loss", "검증 손실"),
    "candidate.best": ("best epoch", "가장 좋은 에포크"),
    "candidate.stopped": ("ended by", "끝난 까닭"),
    "candidate.chosen": ("chosen", "선택"),
    "label.path": ("linear path", "선형 경로"),
    "label.linear": ("linear", "선형"),
    "ended.patience": ("patience", "검증 손실이 줄지 않음"),
    "ended.epochs": ("all epochs done", "정한 에포크를 모두 마침"),
    "ended.diverged": ("divergence", "발산"),
    "ended.interrupted": ("the user", "사용자의 중단"),
    "columns": ("Columns learnt from", "학습에 쓴 열"),
    "columns.name": ("column", "열"),
    "columns.kind": ("kind", "종류"),
    "columns.inputs": ("inputs", "입력 수"),
    "columns.flagged": ("one input says ‘missing’", "입력 하나는 ‘값 없음’ 표시"),
    "columns.cut": (
        "The first {shown} of {count} columns are listed.",
        "열 {count}개 중 처음 {shown}개만 적었습니다.",
    ),
    "kind.number": ("number", "수"),
    "kind.boolean": ("true or false", "참 또는 거짓"),
    "kind.text": ("text", "글자"),
    "kind.date": ("date", "날짜"),
}
