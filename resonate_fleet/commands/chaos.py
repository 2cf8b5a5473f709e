"""`fleet chaos`: chaos with the judge behind it."""

from argparse import Namespace

from resonate_fleet.chaos.__main__ import run as strike
from resonate_fleet.chaos.options import parser
from resonate_fleet.report.__main__ import judge_folder

__all__ = ["parser", "run"]


def run(asked: Namespace) -> int:
    return strike(asked, judge_folder)
