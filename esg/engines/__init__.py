"""What fills a masked part of a picture anew: one engine a file, each with its library imported where it is used."""
