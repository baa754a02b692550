"""What the commands on formulas say: message ids, each with its English and its Korean text.

Invariant: both texts have the same placeholders, and no Korean particle follows one. It is separate
from the other messages because those two groups of commands have nothing in common.
"""

from __future__ import annotations

PAIRS: dict[str, tuple[str, str]] = {
    "derive_about": (
        "Show how the derivative of FORMULA follows, step by step, each with its rule. With "
        "several variables and without --wrt: the gradient, or with --order 2 the Hessian.",
        "FORMULA 식의 도함수를 단계마다 공식과 함께 보여 줍니다. 변수가 여럿이고 --wrt 옵션이 "
        "없으면 그래디언트, --order 2이면 헤세 행렬을 구합니다.",
    ),
    "limit_about": (
        "Show the average rate of change of FORMULA at a point as the step h shrinks, and where "
        "rounding takes over.",
        "h가 줄어들 때 한 점에서 FORMULA 식의 평균변화율과, 반올림 오차가 더 커지는 곳을 보여 "
        "줍니다.",
    ),
    "descend_about": (
        "Go down FORMULA by gradient descent: where each step goes and why, and how it ends.",
        "FORMULA 식을 경사하강으로 내려갑니다. 걸음마다 방향과 크기의 까닭, 그리고 결과를 "
        "보여 줍니다.",
    ),
    "help_limit_wrt": ("The variable that moves.", "변하는 변수."),
    "help_h": (
        "Steps h with commas, such as 1,0.1,1e-6 (default: from 1 to 1e-15).",
        "쉼표로 나눈 h 값들: 1,0.1,1e-6 (기본값: 1부터 1e-15까지).",
    ),
    "help_from": (
        "Where to start, such as w=4; may be repeated, or have commas: x=1,y=-2.",
        "w=4 형태의 출발점. 여러 번 쓰거나 쉼표로 나눕니다: x=1,y=-2.",
    ),
    "help_descend_lr": (
        "Learning rate: step = rate × slope.",
        "학습률: 이동 크기 = 학습률 × 기울기.",
    ),
    "help_descend_optimizer": (
        "How a step follows from the slope.",
        "기울기에서 걸음을 정하는 방법.",
    ),
    "help_steps": ("Number of steps.", "걸음 수."),
    "help_full_table": ("Show every row of a long table.", "긴 표도 모든 줄을 보여 줍니다."),
    "bad_numbers": (
        "cannot read {text!r}; write numbers with commas, such as 1,0.1",
        "{text!r} 값을 읽을 수 없습니다. 수를 쉼표로 나누어 쓰십시오. 예: 1,0.1",
    ),
    "no_picture": (
        "there is no picture without a variable that is a number; leave out --plot",
        "수인 변수가 없어 그림을 그릴 수 없습니다. --plot 옵션을 지우십시오",
    ),
    "need_at": (
        "a picture of several variables needs a point; pass --at, such as --at x=1,y=2",
        "변수가 여럿이면 그림에 점이 필요합니다. --at 옵션을 쓰십시오. 예: --at x=1,y=2",
    ),
    "help_at": (
        "A point such as w=4; may be repeated, or have commas: w=4,b=1.",
        "w=4 형태의 점. 여러 번 쓰거나 쉼표로 나눕니다: w=4,b=1.",
    ),
    "help_wrt": (
        "The variable to derive in, or several with commas.",
        "미분할 변수. 쉼표로 나누어 여럿을 쓸 수 있습니다.",
    ),
    "help_shape": (
        "Axes of a vector or matrix, such as X=n,d; may be repeated (default: as the formula "
        "suggests).",
        "X=n,d 형태로 쓴 벡터나 행렬의 축. 여러 번 쓸 수 있습니다 (기본값: 식을 보고 정함).",
    ),
    "help_expand": (
        "Multiply out first, and derive term by term.",
        "먼저 전개하고 항마다 미분합니다.",
    ),
    "help_order": ("How many times to derive.", "미분하는 횟수."),
    "help_format": ("How to write it.", "출력 형식."),
    "help_explain_out": ("File to write to, instead of the screen.", "화면 대신 저장할 파일."),
    "help_plot": (
        "File for the picture: .png, .svg or .html.",
        "그림을 저장할 파일: .png, .svg 또는 .html.",
    ),
    "help_hints": (
        "Name the rules first; on a terminal, Enter shows the next line.",
        "공식의 이름을 먼저 보여 줍니다. 터미널에서는 Enter 키로 다음 줄을 봅니다.",
    ),
    "help_step": ("Show only this step of those that --hints names.",
                  "--hints 옵션이 보여 준 단계 가운데 하나만 봅니다."),
    "help_full": ("Show every step of a long derivation.", "긴 유도도 모든 단계를 보여 줍니다."),
    "help_quiz": (
        "Exercises on rules instead of a formula: all, or names with commas: {names}.",
        "식 대신 공식 연습 문제: all 또는 쉼표로 나눈 이름: {names}.",
    ),
    "help_count": ("Number of exercises.", "연습 문제의 수."),
    "help_quiz_seed": ("Another number gives other exercises.", "수를 바꾸면 문제가 바뀝니다."),
    "help_answers": ("Show the worked answers.", "풀이를 함께 보여 줍니다."),
    "need_formula": (
        'give a formula, such as: slopewise derive "(w-3)^2"',
        '식을 쓰십시오. 예: slopewise derive "(w-3)^2"',
    ),
    "bad_at": (
        "cannot read the point {text!r}; write it as name=number, such as w=4",
        "{text!r} 점을 읽을 수 없습니다. 이름=수 형태로 쓰십시오. 예: w=4",
    ),
    "bad_shape": (
        "cannot read the shape {text!r}; write it as name=axes, such as X=n,d",
        "{text!r} 모양을 읽을 수 없습니다. 이름=축 형태로 쓰십시오. 예: X=n,d",
    ),
    "no_point_of_arrays": (
        "vectors and matrices have no point on the command line; leave out --at",
        "벡터와 행렬의 값은 명령줄에서 줄 수 없습니다. --at 옵션을 지우십시오",
    ),
    "at_twice": (
        "the point gives `{name}` twice; give it once",
        "점에 `{name}` 변수가 두 번 있습니다. 한 번만 쓰십시오",
    ),
    "order_of_many": (
        "of several variables at most the second derivatives are shown together; pass --wrt",
        "변수가 여럿이면 이계 도함수까지 함께 보여 줍니다. --wrt 옵션을 쓰십시오",
    ),
    "exercise": (
        "exercise {number}: derive {formula}",
        "문제 {number}: 다음 식을 미분하십시오: {formula}",
    ),
    "hint_next": ("Enter: the next line, q: the end", "Enter: 다음 줄, q: 끝"),
    "quiz_ask": ("your answer (Enter shows it)", "답 (Enter 키를 누르면 풀이를 봅니다)"),
    "quiz_right": ("right", "맞았습니다"),
    "quiz_wrong": ("not yet; try again", "아직 아닙니다. 다시 해 보십시오"),
    "quiz_score": ("{right} of {count} right", "{count}문제 가운데 {right}문제 정답"),
    "no_korean_font": (
        "the labels are English: no font with Korean letters was found; install one, such as "
        "Noto Sans CJK KR",
        "한글 글꼴을 찾지 못하여 그림 안의 글자는 영어입니다. Noto Sans CJK KR 같은 글꼴을 "
        "설치하십시오",
    ),
    "picture_written": ("picture: {path}", "그림: {path}"),
    "text_written": ("written: {path}", "저장함: {path}"),
}  # fmt: skip
"""Message ids, each with its English and its Korean text."""
