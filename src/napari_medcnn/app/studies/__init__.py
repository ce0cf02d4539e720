"""The study index: which patients, studies and series a folder holds, kept between sessions."""
