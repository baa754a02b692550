"""Everything that the command line says, in English and Korean, by message id.

Invariant: both languages have the same ids with the same placeholders; the English of faults and
notices is that of `slopewise.train.faults`. In Korean no particle is attached to a placeholder:
a name stands before a colon or a fixed noun. It is separate because texts are data.
"""

import os
from typing import Any

from slopewise.cli.formula_messages import PAIRS as FORMULA_PAIRS
from slopewise.cli.health_messages import PAIRS as HEALTH_PAIRS
from slopewise.train.faults import ENGLISH as FAULTS
from slopewise.train.faults import NOTICES

LANGUAGES = ("en", "ko")

PAIRS = {**FORMULA_PAIRS, **HEALTH_PAIRS}

ENGLISH: dict[str, str] = {
    "about": "Learn from tables by gradient descent, and see how.",
    "train_about": (
        "Learn to predict one column of TABLE (CSV, also .gz, or Parquet) from the others, and "
        "write the model, its figures and a report."
    ),
    "predict_about": "Predict for the rows of TABLE with the model of the run in DIR.",
    "demo_about": "Train on a table that comes with Slopewise, and write a report.",
    "help_help": "Show this text and exit.",
    "help_version": "Show the version and exit.",
    "help_target": "The column to learn.",
    "help_out": "Folder to write to (default: named after the table).",
    "help_sql": "One SELECT over the table `data`: choose, join, convert.",
    "help_task": "regression or classification, instead of what the target suggests.",
    "help_drop": "A column to leave out; may be repeated.",
    "help_drop_missing": "Leave out rows without a target.",
    "help_group": "Rows with the same value here stay on one side of the split.",
    "help_time": "The last rows by this column are tested on, those before validate.",
    "help_hidden": "Widths of hidden layers such as 64,64; none; or auto, which compares.",
    "help_activation": "Activation of the hidden layers.",
    "help_norm": "Normalisation of the hidden layers.",
    "help_init": "First weights; auto suits the activation.",
    "help_epochs": "At most so many passes over the rows.",
    "help_patience": "End after so many epochs without a lower validation loss.",
    "help_batch": "Rows in a step (default: by the number of rows).",
    "help_lr": "First learning rate (default: 0.003, linear 0.01).",
    "help_l2": "Strength of the pull of weights towards 0 (default: 1, or compared).",
    "help_optimizer": "Which rule steps.",
    "help_compile": "Run the steps as machine code: auto does where that is quicker.",
    "help_seed": "Seed of the split, the first weights and the order of rows.",
    "help_test": "Share of rows to test on.",
    "help_validation": "Share of rows to validate on (without folds).",
    "help_folds": "Members of a committee, or 1; auto: 5 with at most 5000 rows to learn from.",
    "help_memory": "Megabytes of encoded rows held in memory; the rest lies in a file.",
    "help_resume": "Go on from the last checkpoint in this folder.",
    "help_no_health": "Do not look at the gradients while training.",
    "help_quiet": "Say nothing but errors.",
    "help_lang": "Language of messages and report.",
    "help_example": "Which table: {names}.",
    "help_predict_out": "File to write, .csv, .csv.gz or .parquet (default: CSV to the screen).",
    "help_keep": "A column of TABLE to copy beside the predictions; may be repeated.",
    "error": "error: {text}",
    "warning": "warning: {text}",
    "table": "{source}: {rows} rows, {columns} columns used",
    "task_classes": "learning `{target}`: one of {classes} classes",
    "task_number": "learning `{target}`: a number",
    "split_plain": "rows: {train} train, {validation} validate, {test} test",
    "split_folds": "rows: {train} train and validate in {folds} folds, {test} test",
    "progress": (
        "{number}/{count} {label}, epoch {epoch}: loss {loss}, validation loss {val_loss}, "
        "learning rate {lr}, {rate} steps/s, at most {left} left"
    ),
    "candidate_done": "{number}/{count} {label}: validation loss {loss:.4f}, best epoch {epoch}",
    "chosen": "chosen: {label}, best epoch {epoch} of {epochs}",
    "figures_classes": "{side}: accuracy {accuracy}, log loss {log_loss}, ROC AUC {roc_auc}",
    "figures_number": "{side}: R² {r2}, RMSE {rmse}, MAE {mae}",
    "side_test": "test",
    "side_validation": "validation",
    "interrupted": (
        "stopped; the best so far is kept (go on with: slopewise train --resume {folder})"
    ),
    "interrupted_early": "stopped; nothing was written",
    "written": "model and figures: {folder}",
    "report": "report: {path}",
    "keeps_checkpoint": "the last checkpoint is kept: go on with slopewise train --resume {folder}",
    "predicted": "{rows} predictions: {path}",
    "out_of_memory": "not enough memory: lower --memory, or leave out columns",
    "disk": "cannot write: {reason}",
    **{id: english for id, (english, _) in PAIRS.items()},
}

KOREAN: dict[str, str] = {
    "about": "표에서 경사하강법으로 학습하고, 그 과정을 보여 줍니다.",
    "train_about": (
        "TABLE(CSV, .gz 포함, 또는 Parquet)의 한 열을 나머지 열로 예측하도록 학습하고 모델, "
        "지표, 보고서를 저장합니다."
    ),
    "predict_about": "DIR에 저장된 모델로 TABLE의 행마다 예측합니다.",
    "demo_about": "Slopewise에 들어 있는 표로 학습하고 보고서를 저장합니다.",
    "help_help": "이 설명을 보여 주고 끝냅니다.",
    "help_version": "버전을 보여 주고 끝냅니다.",
    "help_target": "학습할 열.",
    "help_out": "저장할 폴더 (기본값: 표의 이름을 따름).",
    "help_sql": "표 `data`에 대한 SELECT 문 하나: 고르기, 결합, 변환.",
    "help_task": "목표 열에서 정해지는 것 대신 regression(회귀) 또는 classification(분류).",
    "help_drop": "제외할 열. 여러 번 쓸 수 있습니다.",
    "help_drop_missing": "목표값이 없는 행을 제외합니다.",
    "help_group": "이 열의 값이 같은 행은 같은 쪽으로 나뉩니다.",
    "help_time": "이 열 기준으로 마지막 행들은 시험, 그 앞은 검증에 씁니다.",
    "help_hidden": "64,64 같은 은닉층 너비, none, 또는 여러 후보를 비교하는 auto.",
    "help_activation": "은닉층의 활성화 함수.",
    "help_norm": "은닉층의 정규화 (batch: 배치 정규화, layer: 층 정규화).",
    "help_init": "가중치 초기화. auto는 활성화 함수에 맞춥니다.",
    "help_epochs": "전체 행을 반복하는 최대 횟수.",
    "help_patience": "검증 손실이 이 에포크 수만큼 줄지 않으면 끝냅니다.",
    "help_batch": "한 단계에 쓰는 행의 수 (기본값: 행의 수에 따름).",
    "help_lr": "처음 학습률 (기본값: 0.003, 선형 모델은 0.01).",
    "help_l2": "가중치를 0 쪽으로 당기는 규제의 세기 (기본값: 1 또는 비교).",
    "help_optimizer": "가중치를 고치는 방법.",
    "help_compile": "학습 단계를 기계어로 실행할지 여부. auto는 더 빠를 때만 실행합니다.",
    "help_seed": "나누기, 가중치 초기화, 행 순서의 시드.",
    "help_test": "시험에 쓰는 행의 비율.",
    "help_validation": "검증에 쓰는 행의 비율 (폴드가 없을 때).",
    "help_folds": "함께 학습하는 모델의 수 또는 1. auto: 학습할 행이 5000개 이하이면 5.",
    "help_memory": "메모리에 두는 변환된 행의 크기(MB). 넘으면 파일에 둡니다.",
    "help_resume": "이 폴더의 마지막 체크포인트에서 이어서 학습합니다.",
    "help_no_health": "학습하는 동안 기울기를 살펴보지 않습니다.",
    "help_quiet": "오류 말고는 아무것도 출력하지 않습니다.",
    "help_lang": "메시지와 보고서의 언어.",
    "help_example": "사용할 표: {names}.",
    "help_predict_out": "저장할 파일: .csv, .csv.gz, .parquet (기본값: 화면에 CSV로 출력).",
    "help_keep": "예측 옆에 함께 적을 TABLE의 열. 여러 번 쓸 수 있습니다.",
    "error": "오류: {text}",
    "warning": "주의: {text}",
    "table": "{source}: 행 {rows}개, 사용한 열 {columns}개",
    "task_classes": "학습할 열 `{target}`: 클래스 {classes}개 중 하나",
    "task_number": "학습할 열 `{target}`: 수",
    "split_plain": "행: 학습 {train}개, 검증 {validation}개, 시험 {test}개",
    "split_folds": "행: 학습과 검증 {train}개(폴드 {folds}개), 시험 {test}개",
    "progress": (
        "{number}/{count} {label}, 에포크 {epoch}: 손실 {loss}, 검증 손실 {val_loss}, 학습률 {lr}, "
        "초당 {rate}단계, 남은 시간 최대 {left}"
    ),
    "candidate_done": "{number}/{count} {label}: 검증 손실 {loss:.4f}, 가장 좋은 에포크 {epoch}",
    "chosen": "선택한 모델: {label}, 에포크 {epochs}개 중 가장 좋은 에포크 {epoch}",
    "figures_classes": "{side}: 정확도 {accuracy}, 로그 손실 {log_loss}, ROC AUC {roc_auc}",
    "figures_number": "{side}: R² {r2}, RMSE {rmse}, MAE {mae}",
    "side_test": "시험",
    "side_validation": "검증",
    "interrupted": (
        "중단했습니다. 지금까지 가장 좋은 모델을 저장했습니다 (이어서 하기: slopewise train "
        "--resume {folder})"
    ),
    "interrupted_early": "중단했습니다. 저장한 것이 없습니다",
    "written": "모델과 지표: {folder}",
    "report": "보고서: {path}",
    "keeps_checkpoint": (
        "마지막 체크포인트는 남아 있습니다. 이어서 하기: slopewise train --resume {folder}"
    ),
    "predicted": "예측 {rows}개: {path}",
    "need_table": "학습할 TABLE 인수가 필요합니다",
    "need_target": "--target COLUMN 옵션이 필요합니다",
    "bad_hidden": "--hidden 옵션의 값은 64,64 같은 너비, none, auto 중 하나여야 합니다: {value}",
    "bad_folds": "--folds 옵션의 값은 auto 또는 1에서 20까지의 수여야 합니다: {value}",
    "resume_option": (
        "{option} 옵션의 값: {given}. 그러나 {folder} 폴더의 실행은 다음 값으로 시작했습니다: "
        "{saved}. 이 옵션을 빼거나 새로 시작하십시오"
    ),
    "bad_predict_out": "--out 파일의 끝은 .csv, .csv.gz, .parquet 중 하나여야 합니다: {path}",
    "same_file": "--out 파일({path})은 입력 표와 같습니다. 다른 파일을 고르십시오",
    "out_of_memory": "메모리가 모자랍니다. --memory 값을 줄이거나 열을 제외하십시오",
    "disk": "저장할 수 없습니다: {reason}",
    # faults of slopewise.train
    "no_such_file": "파일이 없습니다: {path}. 경로를 확인하십시오",
    "unknown_format": (
        "파일 형식을 알 수 없습니다: {path}. .csv, .tsv, .csv.gz, .parquet 파일을 쓰십시오"
    ),
    "broken_file": "파일을 읽을 수 없습니다: {path}: {reason}",
    "not_text": "파일을 읽을 수 없습니다: {path}: 열이 구분된 글자 표가 아닙니다",
    "not_utf8": (
        "파일을 읽을 수 없습니다: {path}: UTF-8 글자가 아닙니다. UTF-8 형식으로 저장하십시오 "
        "(Excel: CSV UTF-8)"
    ),
    "ragged_file": (
        "파일을 읽을 수 없습니다: {path}: 머리글의 필드는 {expected}개인데 {line}번째 줄은 "
        "{found}개입니다"
    ),
    "bad_sql": "--sql 질의가 실패했습니다: {reason}",
    "sql_not_select": "--sql 옵션에는 SELECT 문 하나만 쓸 수 있습니다. 표의 이름은 `data`입니다",
    "empty_table": "행이 없는 표입니다: {source}. 학습할 것이 없습니다",
    "no_columns": "열이 없는 표입니다: {source}",
    "same_name": "같은 이름의 열이 둘 있습니다: `{column}`. 하나의 이름을 바꾸십시오",
    "unreadable_type": (
        "열 `{column}`: {type} 형식은 수로 바꿀 수 없습니다. --drop {column} 옵션으로 "
        "제외하거나 --sql 옵션으로 변환하십시오"
    ),
    "array_shape": "배열의 모양: {shape}. (행, 열) 모양이어야 합니다",
    "array_type": "열 `{column}`: dtype {dtype} 값은 수로 바꿀 수 없습니다",
    "length_mismatch": "목표값 {target_rows}개, 행 {rows}개: 두 수가 같아야 합니다",
    "unknown_table": (
        "표로 읽을 수 없는 형식입니다: {type}. 경로, pandas·polars·pyarrow 표, 배열의 dict, "
        "NumPy 배열 중 하나를 주십시오"
    ),
    "no_such_column": "표에 없는 열입니다: `{column}`. 표의 열: {columns}{hint}",
    "target_dropped": "목표 열 `{column}`: 동시에 제외할 수 없습니다",
    "no_features": "목표 열 `{target}`: 예측에 쓸 수 있는 다른 열이 남아 있지 않습니다",
    "infinite": (
        "열 `{column}`: 무한대 값 {count}개(처음은 {row}행). 값을 고치거나 --drop {column} "
        "옵션으로 제외하십시오"
    ),
    "too_many_categories": (
        "열 `{column}`: 서로 다른 글자 값 {count}개, 한도는 {limit}개입니다. --drop {column} "
        "옵션으로 제외하십시오{hint}"
    ),
    "target_missing": (
        "목표 열 `{column}`: {rows}행 중 {count}행에 값이 없습니다. 값을 채우거나 "
        "--drop-missing-target 옵션으로 그 행을 제외하십시오"
    ),
    "target_all_missing": "목표 열 `{column}`: 모든 행에 값이 없습니다",
    "target_infinite": "목표 열 `{column}`: 무한대 값 {count}개(처음은 {row}행)",
    "target_one_class": (
        "목표 열 `{column}`: 값이 {value} 하나뿐입니다. 클래스가 둘 이상 필요합니다"
    ),
    "target_constant": "목표 열 `{column}`: 값이 {value} 하나뿐이라 변하지 않습니다",
    "target_text_regression": (
        "목표 열 `{column}`: 글자 값(예: {example})이라 --task regression 옵션을 쓸 수 "
        "없습니다. --task classification 옵션을 쓰거나 수로 된 열을 고르십시오"
    ),
    "target_many_classes": (
        "목표 열 `{column}`: 클래스 {count}개, 한도는 {limit}개입니다. 수라면 --task "
        "regression 옵션을 쓰고, 아니면 클래스를 묶으십시오"
    ),
    "target_date": (
        "목표 열 `{column}`: 날짜입니다. --sql 옵션으로 수로 바꾸거나 다른 열을 고르십시오"
    ),
    "too_few_rows": (
        "행 {rows}개(서로 다른 행 {different}개)로는 학습, 검증, 시험을 나눌 수 없습니다. "
        "서로 다른 행이 10개 이상 필요합니다"
    ),
    "bad_fraction": "{option} 값은 0과 1 사이, 합은 1 미만이어야 합니다: {value}",
    "too_few_groups": (
        "열 `{column}`: 그룹이 {groups}개뿐이라 학습, 검증, 시험으로 나눌 수 없습니다. --group "
        "옵션을 빼거나 --folds 1 옵션을 쓰십시오"
    ),
    "group_and_time": "--group 옵션과 --time 옵션은 함께 쓸 수 없습니다",
    "time_missing": "--time 열 `{column}`: {count}행에 값이 없습니다",
    "time_kind": "--time 열 `{column}`: 글자 값입니다. 날짜나 수여야 합니다",
    "bad_option": "{option} 옵션의 값: {value}. 가능한 값: {allowed}",
    "diverged": (
        "에포크 {epoch}: 손실이 {value} 값이 되었습니다. 학습률(--lr, 지금 {lr})을 줄이십시오"
    ),
    "output_exists": "이전 실행의 폴더가 아닙니다: {path}. 다른 --out 폴더를 고르십시오",
    "not_a_run": "학습 실행의 폴더가 아닙니다: {path}: {reason}",
    "cannot_write": "저장할 수 없습니다: {path}: {reason}",
    "broken_checkpoint": "체크포인트를 읽을 수 없습니다: {path}: {reason}",
    "nothing_to_resume": "이어서 할 체크포인트가 없습니다: {path}",
    "resume_differs": (
        "{path} 학습에 쓴 표와 다릅니다(차이: {what}). 같은 표를 쓰거나 새로 시작하십시오"
    ),
    "wrong_version": "{path}: 파일 형식 버전 {found}, 읽을 수 있는 버전은 {known}까지입니다",
    "columns_missing": "모델에 필요한 열이 표에 없습니다: {columns}{hint}",
    "columns_type": "열 `{column}`: 지금은 {found} 형식, 학습할 때는 {expected} 형식이었습니다",
    "no_prediction_rows": "예측할 행이 없습니다: {source}",
    "unknown_example": "없는 예제 표입니다: {name}. 있는 표: {names}",
    # notices of slopewise.train
    "looks_like_id": (
        "열 `{column}`: 식별 번호로 보입니다({reason}). 새 행에 대해 알려 주는 것이 없으니 "
        "--drop {column} 옵션으로 제외하십시오"
    ),
    "left_out_id": "열 `{column}`: 글자 값 {count}개가 모두 달라서 제외했습니다",
    "looks_like_leak": (
        "열 `{column}`: 이 열만으로 목표를 알 수 있습니다({reason}). 목표보다 나중에 알려지는 "
        "값이라면 --drop {column} 옵션으로 제외하십시오"
    ),
    "all_missing": "열 `{column}`: 모든 학습 행에 값이 없어서 제외했습니다",
    "constant": "열 `{column}`: 값이 하나뿐이라 제외했습니다",
    "small_class": "클래스 {label}: 행이 {count}개뿐이라 그 지표는 믿기 어렵습니다",
    "few_test_rows": "시험 지표는 행 {count}개만으로 계산했습니다",
    "unseen_category": (
        "열 `{column}`: 학습에 없던 값 {count}개를 'unknown'으로 예측합니다 ({examples})"
    ),
    "new_missing": "열 `{column}`: 학습에는 없던 빈 값 {count}개에 평균을 넣었습니다",
    "not_compiled": "컴파일할 수 없어서 한 단계씩 학습했습니다: {reason}",
    "gradient_health": "에포크 {epoch}, {network}: {found} ({place}), 원인: {cause}",
    "dropped_rows": "목표값이 없는 행 {count}개를 제외했습니다",
    "diverged_later": (
        "에포크 {epoch}: 손실이 무한대 또는 NaN 값이 되었습니다. 그 전의 가장 좋은 모델을 "
        "저장했습니다. --lr 값을 줄이면 더 나아질 수 있습니다"
    ),
    "notice_interrupted": "에포크 {epochs}개 후 중단: 지금까지 가장 좋은 모델을 저장했습니다",
    **{id: korean for id, (_, korean) in PAIRS.items()},
}


def read_language(arguments: list[str]) -> str:
    """The language asked for: by `--lang`, or else by the environment.

    Parameters
    ----------
    arguments : list of str
        The command line.

    Returns
    -------
    {'en', 'ko'}

    Examples
    --------
    >>> read_language(["train", "--lang", "ko"])
    'ko'
    """
    for place, argument in enumerate(arguments):
        value = ""
        if argument == "--lang":
            value = arguments[place + 1] if place + 1 < len(arguments) else ""
        elif argument.startswith("--lang="):
            value = argument.partition("=")[2]
        if value in LANGUAGES:
            return value
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable, "")
        if value:
            return "ko" if value.lower().startswith("ko") else "en"
    return "en"


def say(id: str, lang: str, **values: Any) -> str:
    """A text in a language.

    Parameters
    ----------
    id : str
        A key of `ENGLISH`, of the faults or of the notices.
    lang : {'en', 'ko'}
        Which language.
    **values : object
        What the text names.

    Returns
    -------
    str
        One line.

    Examples
    --------
    >>> say("report", "en", path="report.html")
    'report: report.html'
    """
    template = KOREAN[id] if lang == "ko" else ENGLISH.get(id) or FAULTS.get(id) or NOTICES[id]
    return " ".join(template.format(**values).split())


def say_notice(id: str, lang: str, values: dict[str, Any]) -> str:
    """A notice of `slopewise.train` in a language.

    Parameters
    ----------
    id : str
        A key of the notices.
    lang : {'en', 'ko'}
        Which language.
    values : dict
        What the text names.

    Returns
    -------
    str

    Examples
    --------
    >>> say_notice("constant", "ko", {"column": "unit"})
    '열 `unit`: 값이 하나뿐이라 제외했습니다'
    """
    if id == "gradient_health":
        from slopewise.health.telling import speak_notice

        values = speak_notice(values, lang)
    if lang == "ko":
        return say("notice_interrupted" if id == "interrupted" else id, lang, **values)
    return " ".join(NOTICES[id].format(**values).split())
