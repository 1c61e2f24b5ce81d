# What support/scripted_model.c and support/scripted_judges.c stand in for.
set(scripted generate_batch)
foreach(judge text_judge speech_judge)
  list(APPEND scripted ${judge}_open ${judge}_close ${judge}_label ${judge}_fingerprint ${judge}_run)
endforeach()
foreach(name ${scripted})
  target_link_options(${target} PRIVATE -Wl,--wrap=${name})
endforeach()
