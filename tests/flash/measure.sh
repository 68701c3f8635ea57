#!/usr/bin/env bash
# Flash bytes of each operation with everything it pulls in, on a Cortex-M0 at opt-level z. Fails if one can panic, or
# pulls in a division of 64 bits, 128-bit arithmetic or floats.
set -euo pipefail
cd "$(dirname "$0")"
target=${1:-thumbv6m-none-eabi}
tools=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
operations=$(sed -n 's/^\(operation\|gate\)!(\([a-z_]*\)[(:].*/\2/p' src/main.rs)

bytes() { # operation
    # A missing entry symbol is no error to the linker; a symbol defined by it is.
    cargo rustc -q --release --target "$target" --target-dir ../../target/flash -- \
        -C link-arg=-e -C "link-arg=$1" -C "link-arg=--defsym=checked=$1" -C link-arg=--gc-sections >&2
    local elf=../../target/flash/$target/release/fusebox-flash
    if "$tools/llvm-nm" -C "$elf" | grep -E 'panicking|uldivmod|ldivmod|u64_div_rem|u128|__aeabi_[fd](add|mul|div|sub)'; then
        echo "$1 pulls in the above" >&2
        exit 1
    fi
    "$tools/llvm-size" -A "$elf" | awk '/^\.(text|rodata|data|ARM\.ex)/ { sum += $2 } END { print sum }'
}

printf '%-24s %s\n' "$target, z" bytes
for operation in $operations; do
    printf '%-24s %s\n' "$operation" "$(bytes "$operation")"
done
