"""What the command `check` says: message ids, each with its English and its Korean text.

Invariant: both texts have the same placeholders, and no Korean particle follows one. It is separate
from the other messages because this command has nothing in common with theirs.
"""

from __future__ import annotations

PAIRS: dict[str, tuple[str, str]] = {
    "check_about": (
        "Examine the gradient health of SUBJECT: the folder of a run, or FILE.py:FUNCTION, which "
        "gives a model, or (model, loss_fn), or (model, loss_fn, optimizer), of Slopewise or "
        "PyTorch. Exit code 0: healthy; 1: a fault was found; 2: wrong input.",
        "SUBJECT 신경망의 기울기 상태를 진단합니다. SUBJECT 인수는 학습 실행의 폴더, 또는 "
        "FILE.py:FUNCTION 형태입니다. 이 함수는 Slopewise 또는 PyTorch의 모델이나 (모델, 손실 "
        "함수), (모델, 손실 함수, 최적화기)를 돌려줍니다. 종료 코드 0: 건강함, 1: 문제 발견, "
        "2: 잘못된 입력.",
    ),
    "help_check_data": (
        "Table to examine with (default for a run: the one it was trained on).",
        "진단에 쓸 표 (실행 폴더의 기본값: 학습에 쓴 표).",
    ),
    "help_check_target": (
        "Column of the targets, for FILE.py:FUNCTION (default: the last one).",
        "FILE.py:FUNCTION 형태일 때 목푯값 열 (기본값: 마지막 열).",
    ),
    "help_check_out": ("File to write to instead of the screen.", "화면 대신 저장할 파일."),
    "help_check_format": ("Form of the output.", "출력 형식."),
    "help_batch_rows": (
        "Rows in a step, where an optimizer is given.",
        "최적화기를 줄 때 한 단계에 쓰는 행의 수.",
    ),
    "check_runs": (
        "this runs the file {path}; check only files that you trust",
        "{path} 파일을 실행합니다. 믿을 수 있는 파일만 진단하십시오",
    ),
    "check_title": ("Gradient health: {subject}", "기울기 상태: {subject}"),
    "check_subject": (
        "{subject} is neither a folder of a run nor FILE.py:FUNCTION",
        "학습 실행의 폴더도 FILE.py:FUNCTION 형태도 아닙니다: {subject}",
    ),
    "check_no_file": ("there is no file {path}", "파일이 없습니다: {path}"),
    "check_need_data": ("pass the table to examine with: --data TABLE",
                        "진단에 쓸 표가 필요합니다: --data TABLE"),
    "check_no_function": (
        "{path} has no function {name}; it has: {names}",
        "{path} 파일에 없는 함수입니다: {name}. 있는 함수: {names}",
    ),
    "check_line": ("(line {line})", "({line}번째 줄)"),
    "check_fails": ("{subject} failed: {reason}", "{subject} 실행에 실패했습니다: {reason}"),
    "check_no_model": (
        "{subject} must give a model, (model, loss_fn) or (model, loss_fn, optimizer), not {found}",
        "{subject} 함수는 모델, (모델, 손실 함수), (모델, 손실 함수, 최적화기) 가운데 하나를 "
        "돌려주어야 합니다. 돌려준 것: {found}",
    ),
    "check_not_number": (
        "column `{column}` holds {kind}, and a model takes numbers; leave it out or convert it "
        "with --sql",
        "열 `{column}`: {kind} 값입니다. 모델에는 수를 넣어야 하니 --sql 옵션으로 제외하거나 "
        "변환하십시오",
    ),
    "kind_text": ("text", "글자"),
    "kind_date": ("dates", "날짜"),
    "check_missing": (
        "column `{column}` has {count} missing or infinite value(s); fill them with --sql",
        "열 `{column}`: 비었거나 무한대인 값이 {count}개 있습니다. --sql 옵션으로 채우십시오",
    ),
    "check_no_columns": (
        "{path} has no column beside the target `{column}`",
        "{path} 표에 목표 열 `{column}` 말고 다른 열이 없습니다",
    ),
}  # fmt: skip
