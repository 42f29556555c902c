# shellcheck shell=bash
# For the steps that are shell: problem LINE ends the step, its line in the log and in the step summary.
problem() {
    echo "::error::$1"
    printf '**failed:** %s\n\n' "$1" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
    exit 1
}
