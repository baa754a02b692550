"""Wording of how to use the model again and how to get the same run again.

Invariant: as for `slopewise.report.messages`, which joins these tables. It is separate so that each
table can be read on a few screens.
"""

USE: dict[str, tuple[str, str]] = {
    "use.folder": (
        "RUN stands for the folder that holds this report, and new.csv for a table (CSV or "
        "Parquet) with the columns of training by the same names: {count}. The target is not "
        "needed.",
        "RUN 자리에는 이 보고서가 들어 있는 폴더를, new.csv 자리에는 학습 때와 이름이 같은 열 "
        "{count}개가 있는 표(CSV 또는 Parquet)를 씁니다. 목표 열은 없어도 됩니다.",
    ),
    "use.shell": ("In a terminal:", "터미널에서:"),
    "use.python": ("In Python:", "Python에서:"),
    "use.values": ("a class for each row", "행마다 클래스 하나"),
    "use.numbers": ("a number for each row", "행마다 수 하나"),
    "use.probabilities": (
        "probabilities, in the order of found.classes",
        "클래스별 확률, 순서는 found.classes",
    ),
    "use.resume": (
        "The run can go on where it stopped:",
        "멈춘 곳에서 학습을 이어서 할 수 있습니다.",
    ),
    "repeat.note": (
        "The same table, options, seed and versions give the same model again.",
        "표, 옵션, 시드, 버전이 같으면 같은 모델을 다시 얻습니다.",
    ),
    "repeat.setting": ("setting", "설정"),
    "repeat.value": ("value", "값"),
    "repeat.versions": ("Versions", "버전"),
    "repeat.system": ("system", "시스템"),
    "set.seed": ("seed (--seed)", "시드 (--seed)"),
    "set.hidden": ("hidden layers (--hidden)", "은닉층 (--hidden)"),
    "set.activation": ("activation (--activation)", "활성화 함수 (--activation)"),
    "set.norm": ("normalisation (--norm)", "정규화 방법 (--norm)"),
    "set.init": ("weight initialisation (--init)", "가중치 초기화 (--init)"),
    "set.linear_path": ("linear path", "선형 경로"),
    "set.members": ("networks (--folds)", "신경망 수 (--folds)"),
    "set.parameters": ("learnt numbers", "학습한 수"),
    "set.optimizer": ("optimiser (--optimizer)", "최적화 방법 (--optimizer)"),
    "set.lr": ("first learning rate (--lr)", "처음 학습률 (--lr)"),
    "set.l2": ("regularisation (--l2)", "규제 (--l2)"),
    "set.batch": ("rows in a step (--batch)", "배치 크기 (--batch)"),
    "set.epochs": ("epochs at most (--epochs)", "최대 에포크 (--epochs)"),
    "set.patience": ("patience (--patience)", "기다리는 에포크 (--patience)"),
    "set.hidden.none": ("none", "없음"),
}
