"""Knows what the demo model says about training and examining models, and about pairs of notions.

It does not know how a question about them is worded (see wordings.py).
"""

from training.facts_concepts import LAYERS, TEXT, Concept
from training.facts_running import RUNNING

TRAINING = (
    Concept(
        ("a parameter", "a weight", "a model parameter"),
        ("parameters", "weights", "model parameters"),
        "Parameters are the numbers inside a model that training adjusts. "
        "They are also called weights.",
        "More parameters let a model store more knowledge, but they need more memory and "
        "computation.",
    ),
    Concept(
        ("training", "pretraining", "the training of a model"),
        (),
        "Training adjusts the parameters of a model, step by step, so that it predicts the next "
        "token of its training texts better.",
        "Training is needed because a new model starts with random numbers and knows nothing.",
    ),
    Concept(
        ("inference", "model inference"),
        (),
        "Inference means running a trained model to get answers, without changing its parameters.",
        "Inference matters because it is what users wait and pay for, again and again, after the "
        "training is over.",
    ),
    Concept(
        ("a neural network",),
        ("neural networks",),
        "A neural network is a function with many adjustable numbers, built from layers of simple "
        "arithmetic.",
        "Neural networks are useful because they learn from examples what nobody could write "
        "down as rules.",
    ),
    Concept(
        ("fine-tuning", "finetuning"),
        (),
        "Fine-tuning continues the training of a finished model on a smaller set of examples "
        "for a special purpose.",
        "Fine-tuning is useful because it needs far less data than training from scratch.",
    ),
    Concept(
        ("LoRA", "low-rank adaptation", "a LoRA adapter"),
        ("LoRA adapters",),
        "LoRA fine-tunes a model by adding small low-rank matrices to its frozen weights.",
        "LoRA is useful because only a tiny share of the parameters has to be trained and stored.",
    ),
    Concept(
        ("gradient descent",),
        (),
        "Gradient descent changes each parameter a little in the direction that lowers the loss.",
        "Gradient descent is useful because it can train millions of parameters at the same time.",
    ),
    Concept(
        ("a loss function", "the loss", "cross-entropy", "the cross-entropy loss"),
        ("loss functions",),
        "The loss measures how wrong a model is. For language models it is the cross-entropy: "
        "minus the logarithm of the probability given to the correct token.",
        "The loss is needed because training must know in which direction to change the "
        "parameters.",
    ),
    Concept(
        ("perplexity", "the perplexity"),
        (),
        "Perplexity is the exponential of the average loss per token. "
        "It says among how many tokens the model seems to hesitate.",
        "Perplexity is useful because it compares models on the same text: lower is better.",
    ),
    Concept(
        ("a mixture of experts", "mixture of experts", "MoE"),
        ("MoE models",),
        "A mixture of experts has many MLPs in each layer, and a router sends each token to "
        "only a few of them.",
        "A mixture of experts can store much knowledge while each token uses only a small part "
        "of the weights.",
    ),
    Concept(
        ("the logit lens", "a logit lens"),
        (),
        "The logit lens applies the unembedding to the hidden states of earlier layers, to see "
        "what the model would predict there.",
        "The logit lens is useful because it shows at which layer a prediction takes shape.",
    ),
    Concept(
        ("activation patching", "patching"),
        (),
        "Activation patching replaces a vector inside the model with one from another run, and "
        "watches how the output changes.",
        "Activation patching is useful because it shows which parts of a model cause an answer.",
    ),
    Concept(
        ("an induction head",),
        ("induction heads",),
        "An induction head is an attention head that finds an earlier occurrence of the current "
        "token and copies what followed it.",
        "Induction heads are useful because they let a model continue patterns that it has seen "
        "only in the prompt.",
    ),
    Concept(
        ("a GPU", "a graphics card"),
        ("GPUs",),
        "A GPU is a chip with thousands of small cores that do the same arithmetic on many "
        "numbers at once.",
        "GPUs are useful because language models consist mostly of matrix products, which run "
        "well in parallel.",
    ),
)

CONCEPTS = TEXT + LAYERS + RUNNING + TRAINING

DIFFERENCES: tuple[tuple[str, str, str], ...] = (
    (
        "prefill",
        "decode",
        "Prefill processes the whole prompt in parallel, while decode produces one token at a "
        "time.",
    ),
    (
        "a query",
        "a key",
        "A query says what a token is looking for, while a key says what a token has to offer.",
    ),
    (
        "a key",
        "a value",
        "A key decides how easily a token is found, while a value is what the token passes on.",
    ),
    (
        "MHA",
        "GQA",
        "In MHA every query head has its own key and value head, while in GQA several query heads "
        "share them.",
    ),
    (
        "GQA",
        "MQA",
        "In GQA a group of query heads shares one key and value head, while in MQA all of them "
        "share a single one.",
    ),
    (
        "temperature",
        "top-p",
        "Temperature changes how peaked the probabilities are, while top-p cuts off the unlikely "
        "tokens.",
    ),
    (
        "top-k",
        "top-p",
        "Top-k keeps a fixed number of tokens, while top-p keeps as many as are needed to reach a "
        "total probability.",
    ),
    (
        "a token",
        "a word",
        "A word is a unit of language, while a token is a unit of the vocabulary: a long word may "
        "take several tokens.",
    ),
    (
        "a token",
        "an embedding",
        "A token is a piece of text with a number, while an embedding is the vector that stands "
        "for it.",
    ),
    (
        "attention",
        "an MLP",
        "Attention moves information between tokens, while an MLP works on each token by itself.",
    ),
    (
        "int8",
        "int4",
        "Int8 uses 8 bits for each weight, while int4 uses 4 bits and is smaller but less exact.",
    ),
    (
        "greedy decoding",
        "sampling",
        "Greedy decoding always takes the most likely token, while sampling draws one at random.",
    ),
    (
        "RMSNorm",
        "LayerNorm",
        "LayerNorm subtracts the mean and divides by the standard deviation, while RMSNorm only "
        "divides by the root mean square.",
    ),
    (
        "training",
        "inference",
        "Training adjusts the parameters of a model, while inference uses them without change.",
    ),
    (
        "logits",
        "probabilities",
        "Logits are raw scores, while probabilities are what softmax makes of them: positive "
        "numbers that add up to one.",
    ),
)
