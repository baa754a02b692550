"""Wording of loss curves and gradient norms: labels, captions, and what the numbers say.

Invariant: as for `slopewise.report.messages`; labels in pictures use plain characters only, so that
one Korean font has them all. It is separate so that each table can be read on a few screens.
"""

CURVES: dict[str, tuple[str, str]] = {
    "loss.none": (
        "No epoch was finished, so there is no curve to draw.",
        "끝난 에포크가 없어서 그릴 곡선이 없습니다.",
    ),
    "loss.alt": (
        "Loss of training and validation rows over {epochs} epochs; best epoch {best}.",
        "에포크 {epochs}개 동안의 학습 손실과 검증 손실. 가장 좋은 에포크: {best}.",
    ),
    "loss.caption": (
        "Mean loss in each epoch. The training loss is measured while the weights still change, "
        "the validation loss after the epoch, so at first the training loss may be the higher one.",
        "에포크마다의 평균 손실. 학습 손실은 가중치가 변하는 동안, 검증 손실은 에포크가 끝난 뒤에 "
        "재므로 처음에는 학습 손실이 더 높을 수 있습니다.",
    ),
    "loss.log": (
        "The axis is logarithmic: equal distances are equal factors.",
        "로그 눈금입니다. 같은 간격은 같은 배수를 뜻합니다.",
    ),
    "loss.hidden": (
        "Values that are 0, infinite or NaN cannot be drawn; epochs concerned: {count}.",
        "0, 무한대, NaN 값은 그릴 수 없습니다. 그런 에포크: {count}개.",
    ),
    "loss.overfit": (
        "After epoch {epoch} the training loss fell on, from {train} to {train_last}, while the "
        "validation loss rose, from {val} to {val_last}: from there on the network learns its own "
        "rows by heart (overfitting). The weights of epoch {epoch} were kept.",
        "{epoch}번째 에포크 뒤로 학습 손실은 계속 줄었지만({train} → {train_last}) 검증 손실은 "
        "늘었습니다({val} → {val_last}). 그때부터 신경망이 학습 행을 외우는 것입니다(과적합). "
        "{epoch}번째 에포크의 가중치를 남겼습니다.",
    ),
    "loss.falling": (
        "The validation loss was least in the last epoch: with more epochs (--epochs) it may fall "
        "further.",
        "검증 손실이 마지막 에포크에서 가장 작았습니다. 에포크(--epochs)를 늘리면 더 줄어들 수 "
        "있습니다.",
    ),
    "loss.level": (
        "After epoch {epoch} the validation loss did not fall below {val}.",
        "{epoch}번째 에포크 뒤로 검증 손실이 더 줄지 않았습니다. 가장 작은 값: {val}.",
    ),
    "loss.rate": (
        "The learning rate went from {first} to {last}: it is halved when the validation loss "
        "stays.",
        "학습률: 처음 {first}, 마지막 {last}. 검증 손실이 줄지 않으면 학습률을 반으로 줄입니다.",
    ),
    "axis.epoch": ("epoch", "에포크"),
    "axis.loss": ("loss", "손실"),
    "axis.norm": ("gradient norm", "그래디언트 크기"),
    "axis.true": ("true value", "실제값"),
    "axis.predicted": ("predicted value", "예측값"),
    "axis.residual": ("residual (true - predicted)", "잔차 (실제값 - 예측값)"),
    "line.train": ("training", "학습"),
    "line.validation": ("validation", "검증"),
    "line.best": ("best epoch {epoch}", "가장 좋은 에포크 {epoch}"),
    "column.train": ("training loss", "학습 손실"),
    "column.validation": ("validation loss", "검증 손실"),
    "column.rate": ("learning rate", "학습률"),
    "layer.hidden": ("hidden {number}", "은닉층 {number}"),
    "layer.norm": ("norm {number}", "정규화 {number}"),
    "layer.norm.batch": ("batch norm {number}", "배치 정규화 {number}"),
    "layer.norm.layer": ("layer norm {number}", "층 정규화 {number}"),
    "layer.output": ("output", "출력층"),
    "layer.path": ("linear path", "선형 경로"),
    "health": ("Gradient flow", "기울기의 흐름"),
    "health.caption": (
        "Left: the norm of the gradient in each layer’s output while the network learned, from "
        "the first layer above to the last below; yellow is large, dark is small. Right: the "
        "factor that each layer multiplied the gradient by at the last look. Small factors one "
        "after the other make it vanish, large ones make it explode.",
        "왼쪽: 학습하는 동안 층마다 출력에서 잰 기울기의 크기. 맨 위가 첫 층, 맨 아래가 마지막 "
        "층이며 노란색은 큰 값, 어두운 색은 작은 값입니다. 오른쪽: 마지막으로 살펴보았을 때 각 "
        "층이 기울기에 곱한 인자. 작은 인자가 이어지면 기울기가 소실되고, 큰 인자가 이어지면 "
        "폭발합니다.",
    ),
    "health.member": (
        "Of the committee, the first member was looked at.",
        "함께 학습한 모델 가운데 첫 번째를 살펴보았습니다.",
    ),
    "gradients.none": (
        "No epoch was finished, so there are no norms to draw.",
        "끝난 에포크가 없어서 그릴 값이 없습니다.",
    ),
    "gradients.alt": (
        "Norm of the gradient of {layers} layers over {epochs} epochs.",
        "에포크 {epochs}개 동안 층 {layers}개의 그래디언트 크기.",
    ),
    "gradients.caption": (
        "Length (norm) of the loss’s gradient in the weights of each layer: the root mean square "
        "over the epoch’s steps, on a logarithmic axis.",
        "층마다 그 가중치에 대한 손실의 그래디언트 크기(노름). 에포크 안 모든 갱신의 "
        "제곱평균제곱근, 로그 눈금.",
    ),
    "gradients.look": (
        "What to look for: if the first layers lie far below the last, by a factor of a thousand "
        "or more, they hardly learn. That is the vanishing gradient: by the chain rule each "
        "sigmoid multiplies it by at most 0.25, so 0.25 × 0.25 × 0.25 … is left of it.",
        "볼 것: 앞쪽 층의 선이 마지막 층보다 천 배 넘게 아래에 있으면 그 층은 거의 학습하지 "
        "못합니다. 이것이 기울기 소실입니다. 연쇄 법칙에 따라 시그모이드를 하나 지날 때마다 "
        "많아야 0.25배가 되어 0.25 × 0.25 × 0.25 … 배로 줄어듭니다.",
    ),
    "gradients.one": (
        "This model has one layer only, so no gradient can get lost on its way.",
        "이 모델은 층이 하나뿐이라 그래디언트가 도중에 사라질 수 없습니다.",
    ),
    "gradients.steady": (
        "Here the first layer ({first}) had, in the median epoch, {ratio} times the gradient of "
        "the last ({last}): nothing vanishes and nothing explodes.",
        "여기서는 에포크 중앙값으로 첫 층({first})의 그래디언트가 마지막 층({last})의 "
        "{ratio}배입니다. 소실도 폭발도 없습니다.",
    ),
    "gradients.vanishing": (
        "Here the first layer ({first}) had, in the median epoch, only {ratio} times the gradient "
        "of the last ({last}): the gradient vanishes on its way. Remedies: batch normalisation "
        "(--norm batch), layer normalisation (--norm layer), weight initialisation (--init auto), "
        "or another activation (--activation relu).",
        "여기서는 에포크 중앙값으로 첫 층({first})의 그래디언트가 마지막 층({last})의 "
        "{ratio}배밖에 되지 않습니다. 기울기 소실입니다. 해결책: 배치 정규화(--norm batch), 층 "
        "정규화(--norm layer), 가중치 초기화(--init auto), 다른 활성화 함수(--activation relu).",
    ),
    "gradients.exploding": (
        "Here the first layer ({first}) had, in the median epoch, {ratio} times the gradient of "
        "the last ({last}): the gradient grows on its way back. Remedies: weight initialisation "
        "(--init auto), normalisation (--norm layer) or a lower learning rate (--lr).",
        "여기서는 에포크 중앙값으로 첫 층({first})의 그래디언트가 마지막 층({last})의 "
        "{ratio}배입니다. 뒤로 갈수록 커지는 기울기 폭발입니다. 해결책: 가중치 초기화(--init "
        "auto), 층 정규화(--norm layer), 더 작은 학습률(--lr).",
    ),
    "gradients.infinite": (
        "In epoch {epoch} a norm became infinite or NaN: the steps were too long. A lower "
        "learning rate (--lr) is the remedy.",
        "{epoch}번째 에포크에서 그래디언트 크기가 무한대 또는 NaN 값이 되었습니다. 이동 크기가 "
        "너무 컸습니다. 해결책: 더 작은 학습률(--lr).",
    ),
    "gradients.zero": (
        "A norm of exactly 0 cannot be drawn on this axis. Layers concerned: {layers}.",
        "정확히 0인 크기는 이 눈금에 그릴 수 없습니다. 그런 층: {layers}.",
    ),
    "gradients.total": (
        "The whole gradient went from {first} in the first epoch to {last} in the last. Near the "
        "least loss the slope is near 0.",
        "그래디언트 전체의 크기: 첫 에포크 {first}, 마지막 에포크 {last}. 손실의 최솟값 "
        "가까이에서는 기울기가 0에 가깝습니다.",
    ),
    "column.layer": ("layer", "층"),
    "column.first": ("first epoch", "첫 에포크"),
    "column.best": ("best epoch", "가장 좋은 에포크"),
    "column.last": ("last epoch", "마지막 에포크"),
    "column.ratio": ("times the last layer’s, median", "마지막 층의 몇 배 (중앙값)"),
    "pictures.font": (
        "The labels in the pictures are English: no font with Korean letters was found on the "
        "computer that wrote this report (for example Noto Sans CJK KR, Nanum Gothic, Malgun "
        "Gothic).",
        "그림 안의 글자는 영어입니다. 이 보고서를 만든 컴퓨터에서 한글 글꼴(예: Noto Sans CJK KR, "
        "나눔고딕, 맑은 고딕)을 찾지 못했습니다.",
    ),
}
