"""The command line: one command per stage. Nothing heavy is imported before a command is chosen."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from remanent import __version__
from remanent._errors import RemanentError, UsageError

DONE, UNUSABLE, WRONG_USAGE, WITH_LOSSES = 0, 1, 2, 3
_RULE = (
    "derive relapse from ratings by a published rule (relapse/rules.yaml), for a study without relapse in events.tsv"
)
_RIVALS = "also compare ways to forecast relapse on patients they have not seen (fits again and again: minutes)"
_BREAKS = "days after the index course on which the hazard of relapse may change, e.g. 28,91; constant without it"
_FORM = "how structure is pulled back: to one level, or to one of two about a tipping point; both: the one with more evidence"
CLOSED_PIPE = 128 + 13  # what a shell gives for a program ended by SIGPIPE
RESEARCH_ONLY = "Research use only. Not a medical device."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0 done, 1 unusable input, 2 wrong usage, 3 finished with losses."""
    options = _parser().parse_args(arguments)
    _one_thread_per_process()
    try:
        return int(options.command(options))
    except RemanentError as error:
        _tell(f"remanent: {error}")
        return error.exit_code
    except BrokenPipeError:  # whoever read our output has seen enough (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except OSError as error:
        where = error.filename or "a file"
        words = f"cannot read or write {where}: {error.strerror}. Check the disk and your rights."
        _tell(f"remanent: {words}")
        return UNUSABLE
    except KeyboardInterrupt:
        _tell("remanent: stopped; run the same command again to go on from here.")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="remanent",
        description="What remains of the recovery when treatment is withdrawn: a follow-up study after ECT, from files to forecasts.",
        epilog=f"{RESEARCH_ONLY} Exit codes: 0 done, 1 unusable input, 2 wrong usage, 3 finished with something set aside.",
    )
    parser.add_argument("--version", action="version", version=f"remanent {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    demo = _command(commands, "demo", _demo, "a synthetic study with known truth, and the main job on it")
    demo.add_argument("out", nargs="?", type=Path, default=Path("demo-out"), metavar="OUT")
    demo.add_argument("--patients", type=_at_least(1), default=40, help="number of synthetic patients (default 40)")
    _run_options(demo)
    check = _command(
        commands, "check", _check, "what of a study can be used, what cannot and why; or whether results are intact"
    )
    check.add_argument("study", type=Path, metavar="STUDY|OUT")
    check.add_argument("--all", action="store_true", help="every participant and every kind of problem, not one screen")
    check.add_argument("--participant-label", "--participant_label", nargs="+", default=[], metavar="LABEL")
    redcap = _command(commands, "redcap", _redcap, "a REDCap export and a mapping file to a study on disk")
    redcap.add_argument("export", type=Path, metavar="EXPORT", help="CSV, raw codes")
    redcap.add_argument("mapping", type=Path, metavar="MAPPING", help="YAML; see docs/formats.md")
    redcap.add_argument("study", type=Path, metavar="STUDY", help="new, or written from REDCap before")
    run = _command(commands, "run", _run, "read, measure, fit, report")
    run.add_argument("study", type=Path, metavar="STUDY")
    run.add_argument("out", type=Path, metavar="OUT")
    run.add_argument(
        "level",
        nargs="?",
        choices=["participant", "group"],
        help="participant: read and measure; group: fit and report; neither: both",
    )
    run.add_argument(
        "--participant-label",
        "--participant_label",
        nargs="+",
        default=[],
        metavar="LABEL",
        help="only these, with or without sub-",
    )
    run.add_argument(
        "--thresholds", type=Path, help="YAML file with thresholds of the advice, in place of the shipped ones"
    )
    run.add_argument("--relapse-rule", metavar="NAME", help=_RULE)
    run.add_argument("--form", choices=["linear", "two-basin", "both"], default="linear", help=_FORM)
    run.add_argument("--hazard-breaks", type=_days, default=(), metavar="DAY,DAY", help=_BREAKS)
    run.add_argument("--rivals", action="store_true", help=_RIVALS)
    run.add_argument(
        "--inference",
        choices=["laplace", "nuts"],
        default="laplace",
        help="laplace: mode and curvature, seconds (default); nuts: four chains for every mechanism that carries weight, minutes",
    )
    run.add_argument(
        "--plans",
        type=Path,
        help="YAML or JSON file with dose plans and stress tests of your own: forecasts under each",
    )
    _run_options(run)
    update = _command(commands, "update", _update, "only what is new: a patient's new visit without a refit")
    update.add_argument("out", type=Path, metavar="OUT")
    update.add_argument("study", type=Path, metavar="STUDY")
    update.add_argument("--thresholds", type=Path, help="as for run")
    update.add_argument("--plans", type=Path, help="as for run")
    update.add_argument("--relapse-rule", metavar="NAME", help="another rule than that of the run")
    _run_options(update)
    simulate = _command(commands, "simulate", _simulate, "a synthetic study (BIDS) and truth.tsv")
    simulate.add_argument("spec", type=Path, metavar="SPEC")
    simulate.add_argument("out", type=Path, metavar="OUT")
    _results_commands(commands)
    _trial_command(commands)
    return parser


def _results_commands(commands: Any) -> None:
    """Commands on results that are there."""
    serve = _command(commands, "serve", _serve, "a local web app over results: look, ask what if, enter a visit")
    serve.add_argument("out", type=Path, metavar="OUT")
    serve.add_argument(
        "--port", type=_at_least(0), default=8765, help="port on this machine (default 8765; 0: any that is free)"
    )
    serve.add_argument("--thresholds", type=Path, help="as for run")
    serve.add_argument(
        "--proxy-settings",
        type=Path,
        metavar="FILE",
        help="YAML file for use by several people behind an authenticating reverse proxy: proxy, users, roles, sites",
    )
    serve.add_argument(
        "--bind",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on; other than this machine only with --proxy-settings",
    )
    export = _command(commands, "export", _export, "the figures of results as files for papers and letters")
    export.add_argument("out", type=Path, metavar="OUT")
    export.add_argument("folder", type=Path, metavar="FOLDER", help="where the figures go")
    export.add_argument("--format", choices=["pdf", "png", "svg"], default="pdf")
    export.add_argument("--participant-label", "--participant_label", nargs="+", default=[], metavar="LABEL")


def _trial_command(commands: Any) -> None:
    trial = _command(
        commands, "trial", _trial, "a virtual trial: policies side by side, and how many patients a question needs"
    )
    trial.add_argument(
        "spec", metavar="SPEC", help="YAML or JSON file, or parallel_discontinuation, smart, stepped_taper"
    )
    trial.add_argument("out", type=Path, metavar="OUT")
    trial.add_argument(
        "--workers",
        type=_at_least(1),
        default=max(1, os.cpu_count() or 1),
        help="processes that run replicates (default: all cores)",
    )
    trial.add_argument(
        "--cluster",
        default="",
        metavar="ADDRESS",
        help="Dask scheduler whose workers run replicates, e.g. tcp://node:8786",
    )
    trial.add_argument("--json", action="store_true", help="log one JSON object a line, on standard error")


def _command(
    commands: Any, name: str, function: Callable[[argparse.Namespace], int], words: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=words, description=words[0].upper() + words[1:] + ".", epilog=RESEARCH_ONLY
    )
    parser.set_defaults(command=function)
    return parser


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        type=_at_least(1),
        default=max(1, os.cpu_count() or 1),
        help="processes that measure sessions (default: all cores)",
    )
    if parser.prog.split()[-1] != "demo":
        where = "address of a Dask scheduler whose workers measure sessions, e.g. tcp://node:8786; they must see STUDY at the same path"
        parser.add_argument("--cluster", default="", metavar="ADDRESS", help=where)
    parser.add_argument("--seed", type=_at_least(0), default=0, help="seed of everything random (default 0)")
    parser.add_argument("--json", action="store_true", help="log one JSON object a line, on standard error")


def _at_least(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of {least} or more")
        return int(text)

    return whole


def _days(text: str) -> tuple[float, ...]:
    """Ascending positive days separated by commas."""
    try:
        days = tuple(float(part) for part in text.split(","))
    except ValueError:
        days = ()
    if not days or any(not a < b for a, b in zip((0.0, *days), (*days, float("inf")), strict=True)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of ascending days above 0, as in 28,91")
    return days


def _one_thread_per_process() -> None:
    """Linear algebra here is many small problems: threads inside a worker only get in each other's way."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _demo(options: argparse.Namespace) -> int:
    from remanent.stages.demo import demo

    _say(demo(options.out, patients=options.patients, seed=options.seed, workers=options.workers, log=_log(options)))
    return DONE


def _check(options: argparse.Namespace) -> int:
    from remanent.stages.check import check

    text, code = check(options.study, tuple(options.participant_label), everything=options.all)
    _say(text)
    return code


def _redcap(options: argparse.Namespace) -> int:
    from remanent.stages.redcap import from_redcap

    text, code = from_redcap(options.export, options.mapping, options.study)
    _say(text)
    return code


def _run(options: argparse.Namespace) -> int:
    from remanent.stages.run import run

    return _finish(options, run(_options(options), _log(options)))


def _update(options: argparse.Namespace) -> int:
    from remanent.stages.run import update

    return _finish(options, update(_options(options), _log(options)))


def _options(options: argparse.Namespace) -> Any:
    from remanent.relapse.definition import rule
    from remanent.stages.options import Options, read_plans, read_thresholds

    level, participants = getattr(options, "level", None), tuple(getattr(options, "participant_label", ()))
    if level == "group" and participants:
        why = "The group level fits everyone who was measured"
        raise UsageError("--participant-label with group", why=why, do="Leave out one of the two.")
    return Options(
        study_root=options.study,
        out=options.out,
        level=level,
        workers=options.workers,
        cluster=getattr(options, "cluster", ""),
        participants=participants,
        seed=options.seed,
        thresholds=read_thresholds(options.thresholds) if options.thresholds else None,
        rivals=getattr(options, "rivals", False),
        inference=getattr(options, "inference", "laplace"),
        plans=read_plans(options.plans) if options.plans else (),
        plans_file=options.plans.name if options.plans else "plans",
        relapse_rule=rule(options.relapse_rule).name if options.relapse_rule else None,
        form=getattr(options, "form", "linear"),
        hazard_breaks=getattr(options, "hazard_breaks", ()),
    )


def _finish(options: argparse.Namespace, summary: Any) -> int:
    _say(summary.text(options.out))
    if not summary.usable:
        return UNUSABLE
    return WITH_LOSSES if summary.lost else DONE


def _simulate(options: argparse.Namespace) -> int:
    from remanent.stages.demo import write_simulation

    _say(write_simulation(options.spec, options.out))
    return DONE


def _serve(options: argparse.Namespace) -> int:
    from remanent.app.serve import serve
    from remanent.stages.options import read_thresholds

    thresholds = read_thresholds(options.thresholds) if options.thresholds else None
    serve(
        options.out, options.bind, options.port, settings_file=options.proxy_settings, thresholds=thresholds, say=_say
    )
    return DONE


def _export(options: argparse.Namespace) -> int:
    from remanent.stages.results import export

    _say(export(options.out, options.folder, options.format, tuple(options.participant_label)))
    return DONE


def _trial(options: argparse.Namespace) -> int:
    from remanent.stages.trial import run_trial

    _say(run_trial(options.spec, options.out, workers=options.workers, cluster=options.cluster, log=_log(options)))
    return DONE


def _say(text: str) -> None:
    """To standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _tell(text: str) -> None:
    """To standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _log(options: argparse.Namespace) -> Callable[..., None]:
    """Events of a run on standard error: one JSON object a line with --json, else a short line. Never a patient's name or value."""
    start = time.monotonic()

    def log(event: str, **detail: Any) -> None:
        seconds = round(time.monotonic() - start, 2)
        if options.json:
            line = json.dumps({"event": event, "seconds": seconds, **detail}, default=str)
        else:
            line = f"{seconds:8.1f} s  {event:10s} " + "  ".join(f"{k} {v}" for k, v in detail.items())
        _tell(line)

    return log
