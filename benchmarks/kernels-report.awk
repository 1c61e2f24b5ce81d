# The tables of benchmarks/kernels.md from what benchmarks/kernels-report gathered.

function member(line, name,    found) { # of a JSON object without nested ones
  if (!match(line, "\"" name "\": (\"[^\"]*\"|[-+.0-9e]+)"))
    return ""
  found = substr(line, RSTART + length(name) + 4, RLENGTH - length(name) - 4)
  gsub(/"/, "", found)
  return found
}
function ratio(a, b) { return b > 0 ? sprintf("%.3f", a / b) : "" }
function least(a, b) { return a < b ? a : b }
# Share of the warps that a processor can hold. Registers are given out in 256 to a warp; a block needs 1 KiB of shared memory
# more than it asks for (CUDA programming guide, table of technical specifications).
function occupancy(registers, threads, shared, shared_of_processor,    warps, blocks) {
  if (threads == "" || registers == "")
    return "?"
  warps = int((threads + 31) / 32)
  blocks = int(65536 / (int((registers * 32 + 255) / 256) * 256 * warps))
  blocks = least(blocks, int(shared_of_processor / (shared + 1024)))
  blocks = least(least(blocks, int(64 / warps)), 32)
  return sprintf("%.0f %%", 100 * blocks * warps / 64)
}
function verdict(missed, operation) {
  return missed ? "missed: " (operation in reason ? reason[operation] : "the reason is not known yet") : ""
}
function short(name) {
  sub(/^void /, "", name)
  gsub(/\(anonymous namespace\)::/, "", name)
  while (match(name, /[<,] ?\([^()]*\)[-0-9]/)) # casts of a template's arguments
    name = substr(name, 1, RSTART) substr(name, RSTART + RLENGTH - 1)
  sub(/\(.*$/, "", name)
  gsub(/__nv_bfloat16/, "bf16", name)
  return name
}

BEGIN {
  while ((getline line < "benchmarks/kernels-reasons") > 0)
    if (line !~ /^#/ && split(line, part, "\t") == 2)
      reason[part[1]] = part[2]
  print "# What the CUDA kernels cost, without a GPU\n"
  print "Made by `benchmarks/kernels-report` (nvcc " release "): the emulator counts, ptxas says the registers, and the loops of attention"
  print "are read from their machine code. No GPU has run any of this; times are scripts/gpu-check's.\n"
  print "## Operations\n"
  print "One call each at the largest size that the emulator runs in reasonable time. Moved: sectors of 32 bytes of global memory, by every"
  print "instruction, caches left aside. Floor: every operand once, twice where it is read and written, and twice where a mean of it has to be"
  print "known before the first output (GroupNorm, waveforms). Goal: at most 1.05, in the backward"
  print "passes of norms and embedding 1.15. What multiplies matrices reads its operands once for each tile, from the second cache: there"
  print "the floor is that of its arithmetic, and the ratio is given without a goal. Wavefronts of shared memory over those that the bytes"
  print "need: at most 1.05.\n"
  print "| operation | shape | floor, MB | moved / floor | wavefronts / ideal | mma | mma a ldmatrix.x4 | |"
  print "|---|---|---|---|---|---|---|---|"
  while ((getline line < rows) > 0) {
    operation = member(line, "operation")
    if (operation == "" || member(line, "moved") == "") {
      if (operation != "")
        print "| " operation " | " member(line, "shape") " | | | | | | has no row: " (line ~ /failed/ ? "it failed" : "not measured here") " |"
      continue
    }
    bytes = member(line, "floor_bytes")
    moved = ratio(member(line, "moved"), bytes)
    waves = ratio(member(line, "wavefronts"), member(line, "wavefronts_ideal"))
    goal = operation ~ /(norm|embedding)_backward/ ? 1.15 : 1.05
    multiplies = member(line, "floor") == "flop"
    missed = (!multiplies && moved > goal) || waves > 1.05
    printf "| %s | %s | %.2f | %s | %s | %s | %s | %s |\n", operation, member(line, "shape"), bytes / 1e6, moved, waves, member(line, "mma"), ratio(member(line, "mma"), member(line, "ldmatrix")), verdict(missed, operation)
  }

  while ((getline line < totals) > 0) {
    if (line !~ /M\/s/ || line ~ /all kernels$/)
      continue
    match(line, /M\/s  /)
    name = short(substr(line, RSTART + RLENGTH))
    split(line, part, / +/)
    first = part[1] == "" ? 2 : 1
    threads[name] = part[first + 13]
    shared[name] = part[first + 14]
    traffic[name] = ratio(32 * (part[first + 2] + part[first + 3]), part[first + 4] + part[first + 5])
    wavefronts[name] = ratio(part[first + 6], part[first + 7])
  }
  while ((getline line < registers) > 0) {
    split(line, part, "\t")
    name = short(part[1])
    known[name] = 1
    used[name, part[2]] = part[3]
    spilled[name] += part[4]
  }
  print "\n## Kernels\n"
  print "Registers and spills (goal: none) are ptxas's; threads and shared memory of a block are those of the calls above, and occupancy"
  print "follows from them and the limits of a processor (64 warps, 64 K registers, 164 or 228 KB). Sectors over distinct bytes: 1 where"
  print "a launch touches nothing twice. A kernel with ? was not called at these sizes.\n"
  print "| kernel | threads | shared, bytes | registers sm_80 / sm_90 | spills, bytes | occupancy sm_80 / sm_90 | sectors / distinct bytes | wavefronts / ideal | |"
  print "|---|---|---|---|---|---|---|---|---|"
  sort = "sort -t '|' -k 2"
  for (name in known)
    printf "| %s | %s | %s | %s / %s | %d | %s / %s | %s | %s | %s |\n", name, name in threads ? threads[name] : "?", name in shared ? shared[name] : "?", used[name, "sm_80"], used[name, "sm_90"], spilled[name], occupancy(used[name, "sm_80"], threads[name], shared[name], 164 * 1024), occupancy(used[name, "sm_90"], threads[name], shared[name], 228 * 1024), traffic[name], wavefronts[name], spilled[name] ? "missed: spills" : "" | sort
  close(sort)

  print "\n## Inner loops of attention\n"
  print "What one pass of a warp costs, a sub-core's cycles by unit (`benchmarks/sass_loops.c` has the rates). Of each kernel the loop over whole"
  print "tiles comes first, then the one with masks, which runs at the diagonal and at the ends of documents. Sometimes: instructions that"
  print "only some passes execute (rescaling of the outputs, the next head), not among the others. Goals of the first loop: largest over"
  print "tensor at most 1.15 (sm_80) and 1.4 (sm_90) forward, 1.2 and 1.5 backward; mma share 25 % forward at D = 128, 18 % at D = 64, 22 %"
  print "backward; 2 mma a ldmatrix.x4.\n"
  header = "| kernel | target | mma | ldmatrix | cp.async | shared | special | float | convert | integer | instructions | sometimes | cycles: tensor, issue, shared, special, float | largest / tensor | mma share | mma a ldmatrix.x4 | |"
  print header
  print "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
  print_loops(loops, 1)
  print "\n## FlashAttention 2\n"
  compiled = (getline line < flash) > 0
  close(flash)
  kept = !compiled && (getline line < flash_before) > 0
  close(flash_before)
  if (compiled || kept) {
    print "Its loops over keys (forward) and over queries (backward), causal, bf16, compiled by the same nvcc; dropout, ALiBi, windows and soft"
    print "caps left out. Its backward is one pass with atomics: 5 products where ours has 7 in two.\n"
    if (kept) {
      print "These rows are an earlier run's: theirs was not compiled anew.\n"
      while ((getline line < flash_before) > 0)
        print line
    } else {
      print header
      print "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
      print_loops(flash, 0)
    }
  } else
    print "Not compiled in this run: `benchmarks/kernels-report --flash-attention FOLDER`, with its source archive from PyPI unpacked there."
}

function print_loops(file, goals,    line, p, backward, missed, wide) {
  while ((getline line < file) > 0) {
    split(line, p, "\t")
    if (p[1] == "kernel" || p[4] == 0)
      continue
    backward = p[1] ~ /backward/
    wide = p[1] ~ /<128>/
    missed = goals && p[3] == 0 && (p[21] > (backward ? (p[2] == "sm_80" ? 1.2 : 1.5) : (p[2] == "sm_80" ? 1.15 : 1.4)) || (p[1] ~ /<(64|128)>/ && p[22] < (backward ? 22 : wide ? 25 : 18)) || p[23] < 2)
    printf "| %s%s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s, %s, %s, %s, %s | %s | %s %% | %s | %s |\n", p[1], goals ? (p[3] == 0 ? "" : ", masked") : "", p[2], p[4], p[5], p[6], p[7], p[9], p[10], p[11], p[12], p[14], p[15], p[16], p[17], p[18], p[19], p[20], p[21], p[22], p[23], verdict(missed, p[1])
  }
  close(file)
}
