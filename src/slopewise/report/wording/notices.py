"""Wording of training's notices, and of the reasons given in them.

Invariant: for each notice of `slopewise.train.faults` there is an id `notice.ID` with the same
placeholders, in both languages; reasons are recognised whole, and one that is not known stays as it
is. It is separate because these sentences belong to another package, which says them in English.
"""

import re

NOTICES: dict[str, tuple[str, str]] = {
    "notice.looks_like_id": (
        "Column {column} looks like an id ({reason}): it says nothing about new rows. Leave it "
        "out with --drop.",
        "{column} 열은 식별 번호로 보입니다({reason}). 새로운 행에 대해 알려 주는 것이 없으니 "
        "--drop 옵션으로 제외하십시오.",
    ),
    "notice.left_out_id": (
        "Column {column} is left out: it is text and its {count} values are all different.",
        "{column} 열은 글자 값 {count}개가 모두 달라서 제외했습니다.",
    ),
    "notice.looks_like_leak": (
        "Column {column} alone tells the target ({reason}): if it is known only after the target, "
        "leave it out with --drop.",
        "{column} 열 하나만으로 목표를 알 수 있습니다({reason}). 목표보다 나중에 알려지는 "
        "값이라면 --drop 옵션으로 제외하십시오.",
    ),
    "notice.all_missing": (
        "Column {column} is left out: it is missing in every training row.",
        "{column} 열은 모든 학습 행에 값이 없어서 제외했습니다.",
    ),
    "notice.constant": (
        "Column {column} is left out: it has one value only.",
        "{column} 열은 값이 하나뿐이라 제외했습니다.",
    ),
    "notice.small_class": (
        "Class {label} has few rows ({count}): its figures say little.",
        "{label} 클래스는 행이 적어서({count}개) 그 지표가 말해 주는 것이 적습니다.",
    ),
    "notice.few_test_rows": (
        "The test figures rest on few rows only: {count}.",
        "시험 지표는 적은 수의 행으로 계산했습니다: {count}개.",
    ),
    "notice.interrupted": (
        "Stopped by the user; epochs finished: {epochs}. The best so far is kept.",
        "사용자가 중단했습니다. 끝난 에포크: {epochs}개. 그때까지 가장 좋은 모델을 남겼습니다.",
    ),
    "notice.unseen_category": (
        "Column {column}: {count} value(s) not seen in training predict as ‘unknown’ ({examples}).",
        "{column} 열: 학습에 없던 값 {count}개를 ‘모르는 값’으로 다룹니다({examples}).",
    ),
    "notice.new_missing": (
        "Column {column}: {count} missing value(s), none in training: the mean is put.",
        "{column} 열: 학습에는 없던 빈 값 {count}개에 평균을 넣었습니다.",
    ),
    "notice.gradient_health": (
        "Epoch {epoch}, {network}: {found} ({place}). Cause: {cause}.",
        "에포크 {epoch}, {network}: {found} ({place}). 원인: {cause}.",
    ),
    "notice.diverged_later": (
        "The loss became infinite or NaN in epoch {epoch}: the best before it is kept. A lower "
        "--lr may go further.",
        "{epoch}번째 에포크에서 손실이 무한대 또는 NaN 값이 되었습니다. 그 전의 가장 좋은 모델을 "
        "남겼습니다. --lr 값을 줄이면 더 나아질 수 있습니다.",
    ),
    "notice.not_compiled": (
        "Training ran step by step, since it could not be compiled: {reason}",
        "컴파일할 수 없어서 한 단계씩 학습했습니다: {reason}",
    ),
    "notice.dropped_rows": (
        "Rows left out because they have no target: {count}.",
        "목표값이 없어서 제외한 행: {count}개.",
    ),
    "notice.more": (
        "Columns left out for the same reason: {count} more.",
        "같은 까닭으로 제외한 열: {count}개 더.",
    ),
    "reason.different": ("its values are all different", "값이 모두 다름"),
    "reason.counts": ("its values count the rows", "행을 차례로 센 값"),
    "reason.right": ("it is right for {number} % of the rows", "행의 {number}%에서 맞음"),
    "reason.correlation": ("their correlation is {number}", "상관계수 {number}"),
}

REASONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"its values are all different"), "reason.different"),
    (re.compile(r"its values count the rows"), "reason.counts"),
    (re.compile(r"it is right for (?P<number>[\d.]+) % of the rows"), "reason.right"),
    (re.compile(r"their correlation is (?P<number>-?[\d.]+)"), "reason.correlation"),
)
"""How training's English reasons are recognised."""
