"""Knows what the demo model says about running models: generation, sampling, speed and formats.

It does not know how a question about them is worded (see wordings.py).
"""

from training.facts_concepts import Concept

RUNNING = (
    Concept(
        ("a KV cache", "the KV cache", "a key-value cache", "KV caching"),
        ("KV caches",),
        "A KV cache stores the keys and values of all earlier tokens, so that they are not "
        "computed again for each new token.",
        "A KV cache makes generation fast: each new token needs the work for one token, and not "
        "for the whole text again.",
    ),
    Concept(
        ("prefill", "the prefill phase", "the prefill"),
        (),
        "Prefill is the first phase of generation: the model processes all tokens of the prompt "
        "in parallel and fills the KV cache.",
        "Prefill matters because it decides how long you wait for the first token.",
    ),
    Concept(
        ("decode", "the decode phase", "decoding"),
        (),
        "Decode is the second phase of generation: the model produces one token at a time, and "
        "each new token is fed back as input.",
        "Decode is slow because all weights must be read from memory for every single token.",
    ),
    Concept(
        ("a logit", "the logits"),
        ("logits", "the logits"),
        "Logits are the raw scores that a model gives to all tokens of the vocabulary. "
        "Softmax turns them into probabilities.",
        "Logits are useful because they show how strongly the model prefers each possible next "
        "token.",
    ),
    Concept(
        ("a log probability", "a logprob", "the log probability"),
        ("log probabilities", "logprobs"),
        "A log probability is the logarithm of the probability of a token. "
        "Zero means certain, and very negative means unlikely.",
        "Log probabilities are useful because they can be added up over a text without becoming "
        "too small.",
    ),
    Concept(
        ("softmax", "the softmax", "the softmax function"),
        (),
        "Softmax turns a list of scores into probabilities: it takes the exponential of each "
        "score and divides by their sum.",
        "Softmax is useful because its results are positive and add up to one.",
    ),
    Concept(
        ("the unembedding", "the LM head", "an LM head", "an unembedding matrix"),
        ("LM heads",),
        "The unembedding is the last matrix of a model: it turns the final hidden state into "
        "one logit for each token of the vocabulary.",
        "The unembedding is needed because the model must turn its last vector into a choice of "
        "token.",
    ),
    Concept(
        ("weight tying",),
        ("tied embeddings", "tied weights"),
        "With tied embeddings, the embedding and the unembedding are one and the same matrix.",
        "Tied embeddings save parameters, which matters most in small models.",
    ),
    Concept(
        ("temperature", "the temperature", "the sampling temperature"),
        (),
        "Temperature divides the logits before softmax. "
        "Low values make the output more predictable, high values make it more varied.",
        "Temperature is useful because it lets you choose between safe and surprising text.",
    ),
    Concept(
        ("top-k", "top-k sampling", "top k"),
        (),
        "Top-k sampling keeps only the k most likely tokens and draws the next token from them.",
        "Top-k is useful because it removes the long tail of unlikely tokens.",
    ),
    Concept(
        ("top-p", "top-p sampling", "nucleus sampling", "top p"),
        (),
        "Top-p sampling keeps the smallest set of most likely tokens whose probabilities add up "
        "to at least p, and draws from it.",
        "Top-p is useful because it keeps few tokens when the model is sure and many when it is "
        "not.",
    ),
    Concept(
        ("min-p", "min-p sampling", "min p"),
        (),
        "Min-p sampling removes all tokens that are less likely than a fixed share of the most "
        "likely token.",
        "Min-p is useful because its limit adapts to how sure the model is.",
    ),
    Concept(
        ("greedy decoding", "greedy search", "greedy sampling"),
        (),
        "Greedy decoding always takes the most likely next token.",
        "Greedy decoding is useful because the same prompt always gives the same answer.",
    ),
    Concept(
        ("sampling", "token sampling"),
        (),
        "Sampling means drawing the next token at random, according to the probabilities that "
        "the model gives.",
        "Sampling is useful because it makes the text more varied and avoids loops.",
    ),
    Concept(
        ("beam search", "a beam search"),
        (),
        "Beam search keeps several unfinished texts at once, extends each of them, and goes on "
        "with the most likely ones.",
        "Beam search can find a more likely text than greedy decoding, at a higher cost.",
    ),
    Concept(
        ("a repetition penalty", "the repetition penalty"),
        ("repetition penalties",),
        "A repetition penalty lowers the logits of tokens that have already been used.",
        "A repetition penalty is useful because it keeps a model from saying the same thing over "
        "and over.",
    ),
    Concept(
        ("a random seed", "a seed", "the seed"),
        ("random seeds", "seeds"),
        "A seed is the number from which a random generator starts.",
        "A seed is useful because the same seed gives the same random choices, so that a result "
        "can be repeated.",
    ),
    Concept(
        ("speculative decoding", "speculative sampling"),
        (),
        "In speculative decoding, a small draft model proposes several tokens, and the large "
        "model checks them all in one pass.",
        "Speculative decoding is faster because checking several tokens at once costs about as "
        "much time as producing one.",
    ),
    Concept(
        ("a draft model", "the draft model"),
        ("draft models",),
        "A draft model is a small, fast model that guesses the next tokens for a larger model "
        "to check.",
        "A draft model saves time whenever its guesses are accepted by the larger model.",
    ),
    Concept(
        ("prefix caching", "a prefix cache", "prompt caching"),
        ("prefix caches",),
        "Prefix caching keeps the KV cache of a beginning that many prompts share.",
        "Prefix caching saves time because the shared beginning goes through prefill only once.",
    ),
    Concept(
        ("constrained decoding", "constrained generation", "structured output"),
        ("structured outputs",),
        "Constrained decoding forbids, at each step, all tokens that would break a given format "
        "such as a JSON schema.",
        "Constrained decoding is useful because programs can rely on the format of the answer.",
    ),
    Concept(
        ("time to first token", "TTFT", "the time to first token"),
        (),
        "Time to first token is the time from the request to the first token of the answer. "
        "Most of it is prefill.",
        "Time to first token matters because it is how long a user stares at an empty screen.",
    ),
    Concept(
        ("throughput", "the throughput"),
        (),
        "Throughput is the number of tokens that a system produces in one second.",
        "Throughput matters because it decides how many users a machine can serve.",
    ),
    Concept(
        ("memory bandwidth", "the memory bandwidth"),
        (),
        "Memory bandwidth is the number of bytes that a chip can read from memory in one second.",
        "Memory bandwidth matters because decode must read all weights for each token, which "
        "often takes longer than the arithmetic.",
    ),
    Concept(
        ("FlashAttention", "flash attention"),
        (),
        "FlashAttention computes exact attention block by block in fast on-chip memory, without "
        "ever storing the whole score matrix.",
        "FlashAttention is faster because it moves much less data to and from slow memory.",
    ),
    Concept(
        ("quantization", "model quantization"),
        ("quantized models",),
        "Quantization stores the weights of a model with fewer bits, for example 8 or 4 instead "
        "of 16.",
        "Quantization makes a model smaller and often faster, at a small cost in quality.",
    ),
    Concept(
        ("int8", "int8 quantization", "8-bit quantization"),
        (),
        "Int8 quantization stores each weight as an 8-bit whole number, with a scale shared by "
        "a group of weights.",
        "Int8 halves the memory of 16-bit weights with almost no loss of quality.",
    ),
    Concept(
        ("int4", "int4 quantization", "4-bit quantization"),
        (),
        "Int4 quantization stores each weight as one of 16 levels, with a scale for each small "
        "group of weights.",
        "Int4 needs about a quarter of the memory of 16-bit weights, with some loss of quality.",
    ),
    Concept(
        ("bfloat16", "bf16", "the bf16 format"),
        (),
        "Bfloat16 is a 16-bit number format with the range of float32 but fewer digits of "
        "precision.",
        "Bfloat16 halves the memory of float32, and its wide range keeps training stable.",
    ),
    Concept(
        ("safetensors", "a safetensors file", "the safetensors format"),
        ("safetensors files",),
        "Safetensors is a file format for weights: a short JSON header, followed by the raw "
        "numbers of all tensors.",
        "Safetensors is safe because loading a file never runs code, and fast because the file "
        "can be mapped into memory.",
    ),
)
