#!/bin/sh
# check.sh OBJDUMP FILE…: fails if a function that isn't in one of Highway's namespaces for an instruction set (N_SSE4, N_AVX2, …)
# holds an instruction that x86-64 in general doesn't have, or one in such a namespace an instruction of a larger set. Names are
# mangled, so lambdas and clones carry their namespace.
#
# Why it matters: an inline function that was compiled with AVX in one file may be the copy that the linker keeps for all, and then
# a CPU without AVX stops at it.
set -eu
objdump=$1
shift
"$objdump" -d --no-show-raw-insn "$@" | awk '
  /^[0-9a-f]+ <.*>:$/ {
    name = $2
    sub(/^</, "", name); sub(/>:$/, "", name)
    functions++
    level = name ~ /[0-9]N_AVX3/ ? 3 : name ~ /[0-9]N_AVX2/ ? 2 : name ~ /[0-9]N_(SSE4|SSSE3)/ ? 1 : 0
    next
  }
  # An instruction: address, tab (LLVM: spaces too), mnemonic, operands.
  {
    if (!match($0, /^ *[0-9a-f]+:[ \t]+/)) next
    text = substr($0, RLENGTH + 1)
    split(text, word, /[ \t]+/)
    op = word[1]
    need = 0
    if (op ~ /^v/) need = text ~ /%zmm|%k[0-7]|%[xy]mm(1[6-9]|2[0-9]|3[01])/ ? 3 : 2
    # VEX-encoded without a v, and what came with it; but tzcnt is what older processors take for a bsf, which compilers use.
    else if (op ~ /^(andn|bextr|bls(i|r|msk)|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx|lzcnt)[lq]?$/) need = 2
    else if (op ~ /^k(mov|or|and|xor|not|test|shift|unpck|add|xnor)/) need = 3
    # SSE3 to SSE4.2, AES, CLMUL.
    else if (op ~ /^(addsubp|haddp|hsubp|lddqu|movddup|movs[hl]dup|pshufb|ph(add|sub)|pabs|palignr|pmaddubsw|pmulhrsw|psign|blend[v]?p|dpp|extractps|insertps|movntdqa|mpsadbw|packusdw|pblend|pcmp(eqq|gtq|[ei]str)|pextr[bdq]|phminpos|pinsr[bdq]|pm(ax|in)(sb|sd|ud|uw)|pmov[sz]x|pmul(dq|ld)|ptest|round[ps]|crc32|popcnt|aes|pclmul|movbe)/) need = 1
    seen[level]++
    if (need > level && !((name, op) in told)) {
      told[name, op] = 1
      if (++errors <= 20) print name ": " text
    }
  }
  END {
    printf "%d functions; instructions: %d for every CPU, %d of SSE4, %d of AVX2, %d of AVX-512\n", functions, seen[0], seen[1], seen[2], seen[3]
    if (functions < 3 || seen[0] + seen[1] + seen[2] + seen[3] == 0) { print "too few functions or instructions: is this objdump?"; exit 2 }
    if (errors) { print errors " instructions above what their function may use"; exit 1 }
  }'
