"""`python -m plexus`: the command line, where the script is not on the path."""

from plexus.cli import main

if __name__ == "__main__":
    main()
