"""What users can do something about: one line, and the exit codes of fsvae-codegen."""

import sys


class FsvaeError(Exception):
    """kind: `usage`, `input` or `diverged`, with the exit codes of runtime-ts/errors.ts."""

    CODES = {"usage": 2, "input": 3, "diverged": 8}

    def __init__(self, kind, message):
        super().__init__(message)
        self.code = self.CODES[kind]


def run(main):
    """Runs a program's main function; says an error in one line."""
    try:
        main()
    except FsvaeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.code)
