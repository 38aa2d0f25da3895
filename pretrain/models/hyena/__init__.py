"""HyenaDNA: causal layers whose tokens meet in a convolution as long as the sequence.

What a reader of the release stumbles over:

* ``filter_shift``: 0.0 in the training repository, 0.05 in the files published with the weights; they differ in every
  logit. Users of published weights get 0.05 because that code is what runs, so that is the default here.
* ``max_position_embeddings`` (l_max, longest training input + 2) is part of the filter. The filter of a shorter
  sequence is a prefix; a longer one has no filter, which is an error here with the length in it.
* Pads are ordinary tokens upstream, on the left, and change the logits of real tokens. Packed sequences have none.
* All of the filter's network is trained without weight decay, everything else with it, biases and norms included
  (``optimizer.decay: all_but_filters``).
* The head is tied in training; published folders store it a second time and say untied.
* Rows 12-15 of the embedding are never read, but they are classes of the softmax.
* The published two-sided option shifts the input by half its length, so that no token sees its neighbors: not offered.
"""
