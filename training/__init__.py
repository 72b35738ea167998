"""The bundled demo model: its corpus, its training and its examination, all made in this folder."""
