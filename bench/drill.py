"""What a drill of azure-2026-02 costs: processor seconds and handled requests, variant by variant.

Runs each variant `ROUNDS` times, interleaved, and prints medians; asserts nothing.
"""

import statistics
import sys
import time
from collections import defaultdict

from surgetank.app.wiring import quiet_logs
from surgetank.rehearsal.drill.play import play
from surgetank.rehearsal.scenario.reader import load

ROUNDS = 3


def main() -> None:
    """Measure and print."""
    quiet_logs()
    scenario = load("azure-2026-02")
    variants = sys.argv[1:] or list(scenario.variants)
    spent: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for _ in range(ROUNDS):
        for variant in variants:
            began = time.process_time()
            run = play(scenario, variant, seed=1)
            handled = float(str(run.metrics["requests_handled"]))
            spent[variant].append((time.process_time() - began, handled))
    print(f"{'variant':28}{'CPU s':>8}{'handled':>9}{'per CPU s':>11}")
    total_s = 0.0
    for variant, rounds in spent.items():
        cpu_s = statistics.median(one for one, _ in rounds)
        handled = rounds[0][1]
        total_s += cpu_s
        print(f"{variant:28}{cpu_s:8.1f}{handled:9.0f}{handled / cpu_s:11.0f}")
    print(f"{'all':28}{total_s:8.1f}")


if __name__ == "__main__":
    main()
