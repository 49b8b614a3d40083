"""What a survey is good for afterwards: the commands beside `framework survey PATH`, all on a catalogue it left."""
