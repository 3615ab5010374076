"""The parsers that `make fuzz` feeds, by the kind of what they read."""
import feed_matrices
import feed_media
import feed_official
import feed_own

PARSERS = (*feed_matrices.PARSERS, *feed_media.PARSERS, *feed_official.PARSERS, *feed_own.PARSERS)
