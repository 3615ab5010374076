"""Names in the logs of a training step and in what TensorBoard shows of them."""

SHOWN = "shown"  # the player, in names of logs and events, of what is no loss, such as a reward or an accuracy
