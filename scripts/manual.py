"""Prints the manual page or a shell's completions, from what `lathe --describe` says of each command.

    lathe --describe >lathe.json; python3 scripts/manual.py man|bash|zsh|fish lathe.json

A value completes by what the help calls it: alternatives (a|b), a file (a name with a dot, FILE), or nothing."""
import json
import re
import sys


HELP = {"name": "--help", "argument": None, "is_repeatable": False, "doc": "explain this command"}


class Command:
    def __init__(self, row):
        self.name, self.summary, self.usage, self.doc = row["name"], row["summary"], row["usage"], row["doc"]
        self.options = [*row["options"], HELP]


def read(path):
    with open(path, encoding="utf-8") as file:
        program = json.load(file)
    return program, [Command(row) for row in program["commands"]]


def words_of(option):
    """The values that an option takes, where its argument lists them."""
    return option["argument"].split("|") if "|" in (option["argument"] or "") else []


def takes_file(option):
    argument = option["argument"] or ""
    return not words_of(option) and ("." in argument or argument in ("FILE", "DIR", "BUNDLE"))


# ---- man(7)


def roff(text):
    """Text for troff: its own characters escaped, and no line that begins as a request does."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def man(program, commands):
    yield f'.TH LATHE 1 "" "lathe {roff(program["version"])}" "User Commands"'
    yield ".SH NAME\nlathe \\- turns a GGUF model into Core ML packages, proves them and talks with them"
    yield ".SH SYNOPSIS"
    for command in commands:
        yield f".nf\n{roff(command.usage)}\n.fi"
    yield ".SH COMMANDS"
    for command in commands:
        yield f".SS {command.name} \\- {roff(command.summary)}"
        # Lines that begin with a space are lists: they stay as they are.
        for is_list, part in parts_of(command.doc):
            yield f".PP\n.nf\n{roff(part)}\n.fi" if is_list else f".PP\n{roff(part)}"
        for option in command.options:
            value = f" \\fI{roff(option['argument'])}\\fR" if option["argument"] else ""
            yield f".TP\n\\fB{roff(option['name'])}\\fR{value}\n{roff(option['doc'])}"
    yield f".SH EXIT STATUS\n{roff(program['exit_codes'])}"


def parts_of(doc):
    """Paragraphs and lists of a command's text, in order."""
    lines = [line for line in doc.split("\n") if line.strip()]
    while lines:
        is_list = lines[0].startswith(" ")
        n = next((i for i, line in enumerate(lines) if line.startswith(" ") != is_list), len(lines))
        yield is_list, "\n".join(lines[:n])
        del lines[:n]


# ---- shells


def bash(program, commands):
    yield "# bash completion for lathe"
    yield "_lathe() {"
    yield '    local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" words=""'
    yield "    COMPREPLY=()"
    yield "    if [ \"$COMP_CWORD\" -eq 1 ]; then"
    yield f'        words="{" ".join(c.name for c in commands)} --help --version"'
    yield "    else"
    yield '        case "${COMP_WORDS[1]} $before" in'
    for command in commands:
        for option in command.options:
            if words_of(option):
                yield f'        "{command.name} {option["name"]}") words="{" ".join(words_of(option))}" ;;'
            elif option["argument"]:
                yield f'        "{command.name} {option["name"]}") return 0 ;;'
    yield "        *)"
    yield '            [[ "$current" == -* ]] || return 0'
    yield '            case "${COMP_WORDS[1]}" in'
    for command in commands:
        yield f'            {command.name}) words="{" ".join(o["name"] for o in command.options)}" ;;'
    yield "            esac ;;"
    yield "        esac"
    yield "    fi"
    yield '    COMPREPLY=($(compgen -W "$words" -- "$current"))'
    yield "}"
    yield "# Where there is no word, a file's name."
    yield "complete -o default -F _lathe lathe"


def zsh_quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def fish_quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def zsh(program, commands):
    yield "#compdef lathe"
    yield "_lathe() {"
    yield "    local -a commands=("
    for command in commands:
        yield f"        {zsh_quoted(command.name + ':' + command.summary.replace(':', ' -'))}"
    yield "    )"
    yield "    if (( CURRENT == 2 )); then _describe command commands; return; fi"
    yield '    local command=$words[2]; shift words; (( CURRENT-- ))'
    yield '    case $command in'
    for command in commands:
        yield f"    {command.name}) _arguments \\"
        for option in command.options:
            doc = re.sub(r"([][\\:])", r"\\\1", option["doc"])
            spec = f"{'*' if option['is_repeatable'] else ''}{option['name']}[{doc}]"
            if option["argument"]:
                words = words_of(option)
                action = f"({' '.join(words)})" if words else "_files" if takes_file(option) else " "
                spec += f":{option['argument'].replace(':', ' ')}:{action}"
            yield f"        {zsh_quoted(spec)} \\"
        yield "        '*:file:_files' ;;"
    yield "    esac"
    yield "}"
    yield '_lathe "$@"'


def fish(program, commands):
    names = " ".join(c.name for c in commands)
    for command in commands:
        yield f"complete -c lathe -n 'not __fish_seen_subcommand_from {names}' -f -a {command.name} -d {fish_quoted(command.summary)}"
    for command in commands:
        for option in command.options:
            name = f"-l {option['name'][2:]}" if option["name"].startswith("--") else f"-s {option['name'][1:]}"
            words = words_of(option)
            value = f" -x -a {fish_quoted(' '.join(words))}" if words else " -r -F" if takes_file(option) else " -x" if option["argument"] else ""
            yield f"complete -c lathe -n '__fish_seen_subcommand_from {command.name}' {name}{value} -d {fish_quoted(option['doc'])}"


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    print("\n".join({"man": man, "bash": bash, "zsh": zsh, "fish": fish}[sys.argv[1]](*read(sys.argv[2]))))
