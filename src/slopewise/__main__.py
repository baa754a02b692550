"""`python -m slopewise`: the same as the command `slopewise`.

It is separate because Python looks for this name.
"""

from slopewise.cli import main

if __name__ == "__main__":
    main()
