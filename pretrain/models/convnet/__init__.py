"""GPN's dilated convolutions: three published blocks, chosen by ``model.block``.

What a reader of the release stumbles over:

* The class behind the published gpn-brassicales (``post_norm``, biases, dilation at most 32, no final norm) is not the
  repository's current default (``pre_norm``, no biases, dilation up to 128, a final norm). Names and shapes differ.
* Every LayerNorm has eps 1e-5. The config field ``layer_norm_eps`` 1e-12 is inherited there and read by nothing.
* One-hot input means: the vocabulary first, zeros up to the hidden size. Nothing is trained, nothing can be tied.
* Beyond a window's ends lie zeros, not padding tokens; there is no padding mask because every window is full.
* Convolutions keep torch's own first weights; linear layers and tables are normal(0, 0.02).
* ``post_norm`` has no inner width, ``bytenet`` has one between its two linear layers: half the hidden size where the
  release says ``slim``, whatever its ``intermediate_size`` says.
"""
