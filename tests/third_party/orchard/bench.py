"""`hinterland bench orchard-picking`."""

SUMMARY = "how many apples two hands pick"
REPEAT = 2


def add_options(parser):
    """One of its own."""
    parser.add_argument("--hands", type=int, default=2)


def measure(options):
    """Counts."""
    print(f"{options.hands} hands, {options.repeat} times")
    return {"apples": options.hands * options.repeat}
