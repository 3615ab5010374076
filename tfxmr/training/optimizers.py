"""Adam as TensorFlow 1 had it, in one pass over the memory."""
import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):
    """keras.optimizers.Adam with the update of a variable done by one fused kernel.

    The mathematics, the slots and the checkpoint are Keras'; the separate element-wise operations of Keras cost
    about four times the time on a CPU, which at 180 million parameters and batch 64 rivals the matrix products.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable and its two slots; `gradient` has the variable's shape."""
        i = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[i].value.handle,
            v=self._velocities[i].value.handle,
            beta1_power=tf.pow(tf.constant(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.constant(self.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
