"""The main job on real input: fingerprints, exact duplicates, a catalogue and a report of folders."""
