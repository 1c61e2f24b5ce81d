# The test lets a draw fail.
target_link_options(${target} PRIVATE -Wl,--wrap=lanes_next)
