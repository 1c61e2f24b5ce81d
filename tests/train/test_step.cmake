# The test counts the waits for other ranks, and leaves one out.
target_link_options(${target} PRIVATE -Wl,--wrap=device_comm_wait)
