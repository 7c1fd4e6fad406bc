# Completion of parley, parley-server and parley-client for bash, on top of the
# package bash-completion. What may follow is read from the programs' --help.
# Installed by `cmake --install`; from a clone: source tools/cli/parley.bash

# The flags of the help page on standard input.
_parley_flags() { sed -nE 's/^  (--[a-z-]+)( .*)?$/\1/p'; }

# The kinds of topology that it lists.
_parley_kinds() { sed -nE '/^Kinds:/,/^$/s/^  ([a-z_]+)( .*)?$/\1/p'; }

# The commands that it lists.
_parley_commands() { sed -nE '/^Commands:/,/^$/s/^  ([a-z-]+) .*/\1/p'; }

_parley() {
  local cur prev words cword
  _init_completion -n =: || return

  # The program and its command: `parley model export` has two words of it.
  local command=("${words[0]}") help commands
  while true; do
    help=$("${command[@]}" --help 2>/dev/null) || return
    commands=$(_parley_commands <<<"$help")
    local next=${#command[@]}
    [[ $next -lt $cword ]] && grep -qxFe "${words[next]}" <<<"$commands" || break
    command+=("${words[next]}")
  done
  if [[ -n $commands ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands --help" -- "$cur")
    return
  fi

  local flags takes=
  flags=$(_parley_flags <<<"$help")
  # What the flag before takes, as the page names it; nothing for a switch.
  [[ $prev == --* ]] && takes=$(sed -nE "s/^  $prev ([A-Z][^ ]*).*/\1/p" <<<"$help")
  case $takes in
    DIR | FOLDER) _filedir -d ;;
    '' | FILE | PROGRAM)
      if [[ -z $takes && $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
      else
        _filedir
        [[ -z $takes ]] && mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(
          compgen -W "$(_parley_kinds <<<"$help")" -- "$cur")
      fi
      ;;
  esac
} && complete -F _parley parley parley-server parley-client
