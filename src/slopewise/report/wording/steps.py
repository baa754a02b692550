"""Wording of the five steps, in the words of the lecture that they come from.

Invariant: as for `slopewise.report.messages`; every sentence is true of any run: what depends on
the optimiser or on how a run ended has a sentence of its own. It is separate so that each table can
be read on a few screens.
"""

STEPS: dict[str, tuple[str, str]] = {
    "steps.lead": (
        "Learning is these five steps. The numbers are those of this run: of its very first step, "
        "and of the whole.",
        "학습은 다음 다섯 단계입니다. 수는 모두 이번 실행의 것으로, 맨 처음 한 번의 갱신과 학습 "
        "전체에서 가져왔습니다.",
    ),
    "steps.none": (
        "The run was stopped before its first step, so there are no numbers to show.",
        "첫 갱신 전에 중단되어 보여 줄 수가 없습니다.",
    ),
    "step1": ("Put data in (x) and predict (ŷ)", "데이터 입력 (x) → 예측값 계산 (ŷ)"),
    "step1.batch": (
        "In the first step, {rows} rows with {inputs} inputs each went into the untrained network.",
        "첫 갱신에서 입력이 {inputs}개인 행 {rows}개를 아직 학습하지 않은 신경망에 넣었습니다.",
    ),
    "step1.members": (
        "In the first step, {rows} rows with {inputs} inputs each went into each of the {members} "
        "untrained networks.",
        "첫 갱신에서 아직 학습하지 않은 신경망 {members}개에 입력이 {inputs}개인 행을 각각 "
        "{rows}개씩 넣었습니다.",
    ),
    "step1.row.classification": (
        "One of them, row {row} of the table, has the true class {truth}. The network gave this "
        "class the probability {prediction}; an even guess among {classes} classes is {guess}.",
        "그중 하나인 표의 {row}번째 행은 실제 클래스가 {truth} 클래스입니다. 신경망이 이 클래스에 "
        "준 확률: {prediction}. 클래스 {classes}개에 똑같이 나누면 {guess}.",
    ),
    "step1.row.regression": (
        "One of them, row {row} of the table, has the true value {truth}. The network predicted "
        "{prediction}.",
        "그중 하나인 표의 {row}번째 행: 실제값 {truth}, 신경망의 예측값 {prediction}.",
    ),
    "step2": (
        "Measure how wrong that is: the loss L(w)",
        "예측과 실제의 차이 계산: 손실 함수 L(w)",
    ),
    "step2.first": (
        "Before anything was learnt, the mean loss over these rows was {loss}.",
        "아무것도 학습하기 전, 이 행들의 평균 손실: {loss}.",
    ),
    "step2.after": (
        "The validation rows had the loss {first} after the first epoch, and {best} in the best "
        "one, epoch {epoch}.",
        "검증 행의 손실: 첫 에포크 뒤 {first}, 가장 좋은 {epoch}번째 에포크에서 {best}.",
    ),
    "step2.classification": (
        "The loss is the cross-entropy, −ln(probability of the true class).",
        "손실은 교차 엔트로피, 곧 −ln(실제 클래스의 확률) 값입니다.",
    ),
    "step2.regression": (
        "The loss is the squared error (ŷ − y)² of the standardised target; always predicting the "
        "mean costs about 1.",
        "손실은 표준화한 목표값의 제곱 오차 (ŷ − y)² 값입니다. 늘 평균으로 예측하면 약 1입니다.",
    ),
    "step3": (
        "Find how fast and which way the loss changes: dL/dw",
        "손실이 얼마나, 어느 방향으로 변하는지 계산: 미분 dL/dw",
    ),
    "step3.slope": (
        "Backpropagation gives every one of the {parameters} learnt numbers its slope. The "
        "steepest in the first step was that of {parameter}: dL/dw = {gradient}.",
        "역전파로 학습하는 수 {parameters}개 각각의 기울기를 구합니다. 첫 갱신에서 기울기의 "
        "크기가 가장 컸던 가중치: {parameter}, dL/dw = {gradient}.",
    ),
    "step3.slope.members": (
        "Backpropagation gives every one of the {parameters} learnt numbers its slope. In the "
        "first network’s first step, the steepest was that of {parameter}: dL/dw = {gradient}.",
        "역전파로 학습하는 수 {parameters}개 각각의 기울기를 구합니다. 첫 번째 신경망의 첫 "
        "갱신에서 기울기의 크기가 가장 컸던 가중치: {parameter}, dL/dw = {gradient}.",
    ),
    "step3.input": ("This weight comes from the input {input}.", "이 가중치의 입력: {input}."),
    "step3.output": (
        "It leads to the output for the class {output}.",
        "이 가중치가 이어지는 출력: {output} 클래스.",
    ),
    "step3.up": (
        "The slope is positive, uphill: L falls when w is made smaller.",
        "기울기가 양수(오르막)이므로 가중치를 줄여야 손실이 줄어듭니다.",
    ),
    "step3.down": (
        "The slope is negative, downhill: L falls when w is made larger.",
        "기울기가 음수(내리막)이므로 가중치를 늘려야 손실이 줄어듭니다.",
    ),
    "step3.flat": (
        "The slope is 0: here the loss does not change with w.",
        "기울기가 0이므로 여기서는 가중치가 변해도 손실이 변하지 않습니다.",
    ),
    "step3.norm": (
        "The length of the whole gradient was {first} in the first epoch and {last} in the last.",
        "그래디언트 전체의 크기: 첫 에포크 {first}, 마지막 에포크 {last}.",
    ),
    "step4": ("Step against the gradient", "기울기의 반대 방향으로 가중치 조정: 경사하강법"),
    "step4.rate": (
        "The new weight is the old one minus the learning rate times the slope. With the learning "
        "rate η = {lr}, the plain step for that weight is",
        "새로운 w = 기존 w − (학습률 × 도함수 값). 학습률 η = {lr}, 이 가중치의 기본 갱신은 "
        "다음과 같습니다.",
    ),
    "step4.new": ("new", "new"),
    "step4.old": ("old", "old"),
    "step4.exact": (
        "That is what this run did: the weight became {after}.",
        "이번 실행이 한 일이 바로 이것입니다. 갱신 후 가중치: {after}.",
    ),
    "step4.decay": (
        "Regularisation (l2) pulls weights towards 0 as well: the weight became {after}.",
        "규제(l2)도 가중치를 0 쪽으로 당깁니다. 갱신 후 가중치: {after}.",
    ),
    "step4.adam": (
        "This run used Adam, which divides each slope by its own recent size. Its first step has "
        "the same direction but about the length η, whatever the slope: the weight went from "
        "{before} to {after}.",
        "이번 실행은 Adam 방법을 썼습니다. Adam 방법은 기울기를 그 최근 크기로 나누므로, 첫 "
        "갱신은 방향은 같지만 이동 크기는 기울기와 상관없이 거의 학습률과 같습니다. 실제 갱신: "
        "{before} → {after}.",
    ),
    "step4.adam.other": (
        "This run used Adam, which adds the pull of regularisation (l2) to each slope and divides "
        "the sum by its own recent size: the weight went from {before} to {after}.",
        "이번 실행은 Adam 방법을 썼습니다. Adam 방법은 기울기에 규제(l2)의 몫을 더한 뒤 그 최근 "
        "크기로 나눕니다. 실제 갱신: {before} → {after}.",
    ),
    "step4.missing": (
        "The run was stopped before the weight was changed.",
        "가중치를 바꾸기 전에 중단되었습니다.",
    ),
    "step5": ("Repeat until the loss is least", "손실이 최소가 될 때까지 반복: 최적화"),
    "step5.count": (
        "Steps made: {steps}, in {epochs} epochs (an epoch is one pass over the training rows).",
        "갱신 횟수: {steps}번, 에포크 {epochs}개 (에포크 하나는 학습 행 전체를 한 번 도는 것).",
    ),
    "step5.best": (
        "The loss of the validation rows was least in epoch {epoch}: {best}. The weights of that "
        "epoch are the model.",
        "검증 손실이 가장 작았던 때는 {epoch}번째 에포크입니다({best}). 그때의 가중치가 "
        "모델입니다.",
    ),
    "step5.none": (
        "No epoch was finished, so the model still has its first weights.",
        "끝난 에포크가 없어서 모델은 처음 가중치 그대로입니다.",
    ),
    "stopped.patience": (
        "Training ended because the validation loss had not fallen for {patience} epochs.",
        "검증 손실이 에포크 {patience}개 동안 줄지 않아서 학습을 끝냈습니다.",
    ),
    "stopped.epochs": (
        "Training ended because {epochs} epochs were allowed (--epochs).",
        "정해 둔 에포크 {epochs}개(--epochs)를 모두 마쳐서 학습을 끝냈습니다.",
    ),
    "stopped.diverged": (
        "Training ended because the loss became infinite or NaN; a lower learning rate (--lr) may "
        "go further.",
        "손실이 무한대 또는 NaN 값이 되어 학습을 끝냈습니다. 학습률(--lr)을 줄이면 더 나아질 수 "
        "있습니다.",
    ),
    "stopped.interrupted": (
        "Training was stopped by the user before its end.",
        "사용자가 학습을 중간에 멈추었습니다.",
    ),
}
