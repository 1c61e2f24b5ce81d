# Every call through which a file could reach libhdf5 goes through the test first.
target_link_options(test_data_damage PRIVATE -Wl,--wrap=H5Fopen -Wl,--wrap=H5Pset_file_image)
