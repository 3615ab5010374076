"""The commands, one thin file each: parse flags, call the library, print."""
