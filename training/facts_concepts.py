"""Knows what the demo model says about text, tokens, attention and the layers of a transformer.

It does not know how a question about them is worded (see wordings.py).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Concept:
    """One notion: the noun phrases people use for it, and the two answers it has.

    `one` fits after "what is", `many` after "what are"; the first word of `one` may be an article.
    `what` answers a request for a definition, `why` one for the purpose.
    """

    one: tuple[str, ...]
    many: tuple[str, ...]
    what: str
    why: str


TEXT = (
    Concept(
        ("a language model", "an LLM", "a large language model"),
        ("language models", "LLMs", "large language models"),
        "A language model is a neural network that predicts the next token of a text. "
        "By adding one predicted token after another, it writes whole answers.",
        "Language models are useful because predicting the next token well is enough to answer "
        "questions, summarize and write text.",
    ),
    Concept(
        ("a token",),
        ("tokens",),
        "A token is a small piece of text, such as a word or a part of a word, that a language "
        "model reads as one number.",
        "Tokens let a model cover any text with a vocabulary of limited size, and they keep the "
        "sequence much shorter than single letters would.",
    ),
    Concept(
        ("a tokenizer", "tokenization"),
        ("tokenizers",),
        "A tokenizer cuts text into tokens and gives each one its number in the vocabulary. "
        "It also turns numbers back into text.",
        "A tokenizer is needed because a model works with numbers and cannot read letters.",
    ),
    Concept(
        ("a vocabulary", "the vocabulary", "the vocabulary of a model"),
        ("vocabularies",),
        "The vocabulary is the fixed list of all tokens that a model can read and write.",
        "A larger vocabulary makes texts shorter in tokens, but it makes the embedding matrix "
        "larger.",
    ),
    Concept(
        ("byte-pair encoding", "BPE", "byte pair encoding"),
        (),
        "Byte-pair encoding builds a vocabulary by merging, again and again, the pair of "
        "neighbouring pieces that occurs most often.",
        "Byte-pair encoding gives frequent words a single token, and still can write any rare "
        "word with several smaller pieces.",
    ),
    Concept(
        ("a special token",),
        ("special tokens",),
        "A special token is a token that stands for a mark and not for text, such as the end of "
        "a message.",
        "Special tokens let a model see where a message begins and ends, without confusing the "
        "marks with ordinary text.",
    ),
    Concept(
        ("an end-of-sequence token", "an EOS token", "the EOS token", "a stop token"),
        ("stop tokens", "EOS tokens"),
        "The end-of-sequence token is a special token that a model writes when its answer is "
        "complete.",
        "Without an end-of-sequence token, the program would not know when to stop asking the "
        "model for more tokens.",
    ),
    Concept(
        ("a chat template", "the chat template"),
        ("chat templates",),
        "A chat template turns a conversation into one text, with special tokens that mark who "
        "says what.",
        "A chat template is needed because a model was trained on one exact layout of messages, "
        "and answers badly with another.",
    ),
    Concept(
        ("ChatML", "the ChatML format"),
        (),
        "ChatML is a chat format in which special tokens mark the start and the end of each "
        "message, and the speaker is named at its start.",
        "ChatML is useful because the model always knows who is speaking and where a message ends.",
    ),
    Concept(
        ("a prompt",),
        ("prompts",),
        "A prompt is the text that a language model is given, and that it continues.",
        "The prompt matters because it is all that the model knows about your request.",
    ),
    Concept(
        ("a system prompt", "the system prompt", "a system message"),
        ("system prompts", "system messages"),
        "A system prompt is a first message that tells a model how to behave in the conversation.",
        "A system prompt sets the tone and the rules once, so that users do not have to repeat "
        "them.",
    ),
    Concept(
        ("a context window", "the context window", "context length", "the context length"),
        ("context windows",),
        "The context window is the largest number of tokens that a model can take into account "
        "at once.",
        "A longer context window lets a model use longer documents, at the price of more memory "
        "and more computation.",
    ),
    Concept(
        ("a hallucination", "hallucination"),
        ("hallucinations",),
        "A hallucination is a statement that a language model makes with confidence although it "
        "is false.",
        "Hallucinations happen because a model learns which text is likely, and not which text "
        "is true.",
    ),
)

LAYERS = (
    Concept(
        ("a transformer", "the transformer", "the transformer architecture"),
        ("transformers",),
        "A transformer is a neural network made of layers that alternate attention and an MLP. "
        "Almost all modern language models are transformers.",
        "Transformers are popular because they process all tokens of a text in parallel during "
        "training.",
    ),
    Concept(
        ("an embedding", "a token embedding", "the embedding"),
        ("embeddings", "token embeddings"),
        "An embedding is the vector of numbers that stands for a token inside the model. "
        "Tokens that are used alike get similar embeddings.",
        "Embeddings are needed because layers compute with vectors, and a vector has room for "
        "many shades of meaning.",
    ),
    Concept(
        ("a hidden state", "the hidden state"),
        ("hidden states",),
        "A hidden state is the vector that a model holds for one token between two layers.",
        "Hidden states carry all that the model has understood so far from one layer to the next.",
    ),
    Concept(
        ("attention", "self-attention", "the attention mechanism", "the attention"),
        (),
        "Attention lets each token look at the earlier tokens and take information from those "
        "that matter to it.",
        "Attention is useful because the meaning of a word depends on other words, which may be "
        "far away.",
    ),
    Concept(
        ("an attention head", "a head in attention"),
        ("attention heads",),
        "An attention head is one of several attention computations that run side by side in a "
        "layer, each with its own queries, keys and values.",
        "Several attention heads let a layer look for several kinds of information at the same "
        "time.",
    ),
    Concept(
        ("a query", "the query", "a query vector", "the query in attention"),
        ("queries", "query vectors"),
        "A query is the vector with which a token says what it is looking for. "
        "It is compared with the keys of the earlier tokens.",
        "Queries are needed so that each token can ask for the information that it lacks.",
    ),
    Concept(
        ("a key", "a key vector", "the key in attention", "a key in attention"),
        ("keys", "key vectors"),
        "A key is the vector with which a token says what it has to offer. "
        "The better it matches a query, the more attention the token gets.",
        "Keys are needed so that queries have something to be compared with.",
    ),
    Concept(
        ("a value", "a value vector", "the value in attention", "a value in attention"),
        ("values", "value vectors"),
        "A value is the vector that a token passes on when another token attends to it.",
        "Values are needed because what makes a token easy to find differs from what it has to "
        "say.",
    ),
    Concept(
        ("an attention score", "an attention weight", "the attention pattern"),
        ("attention scores", "attention weights"),
        "An attention score is the dot product of a query and a key, divided by the square root "
        "of the head size. Softmax turns the scores into weights.",
        "Attention scores decide how much each earlier token contributes to the new vector.",
    ),
    Concept(
        ("a causal mask", "the causal mask", "causal masking"),
        ("causal masks",),
        "A causal mask hides all later tokens from attention, so that a token sees only itself "
        "and what comes before it.",
        "A causal mask is needed so that a model cannot look at the very token that it should "
        "predict.",
    ),
    Concept(
        ("multi-head attention", "MHA"),
        (),
        "Multi-head attention runs several attention heads in parallel, each with its own "
        "queries, keys and values, and joins their results.",
        "Multi-head attention lets one layer follow several relations between words at once.",
    ),
    Concept(
        ("grouped-query attention", "GQA", "grouped query attention"),
        (),
        "Grouped-query attention, or GQA, lets several query heads share one key head and one "
        "value head.",
        "GQA makes the KV cache several times smaller, with almost no loss of quality.",
    ),
    Concept(
        ("multi-query attention", "MQA", "multi query attention"),
        (),
        "Multi-query attention, or MQA, has many query heads but only a single key head and a "
        "single value head.",
        "MQA makes the KV cache as small as possible, at some cost in quality.",
    ),
    Concept(
        ("sliding-window attention", "sliding window attention", "a sliding window"),
        ("sliding windows",),
        "Sliding-window attention lets each token see only a fixed number of the latest tokens.",
        "Sliding-window attention bounds the cost of long texts, because no token looks back "
        "further than the window.",
    ),
    Concept(
        ("RoPE", "rotary position embedding", "a rotary embedding"),
        ("rotary embeddings", "rotary position embeddings"),
        "RoPE rotates queries and keys by an angle that grows with the position. "
        "Their dot product then depends on how far apart two tokens are.",
        "RoPE is useful because it tells attention about distances between tokens without any "
        "learned position vectors.",
    ),
    Concept(
        ("a position embedding", "positional encoding", "a positional encoding"),
        ("position embeddings", "positional encodings"),
        "A positional encoding tells the model where in the text a token stands.",
        "Positional encodings are needed because attention alone does not see the order of the "
        "earlier tokens.",
    ),
    Concept(
        ("an MLP", "the MLP", "a feed-forward network", "the feed-forward layer"),
        ("MLPs", "feed-forward layers"),
        "The MLP is the part of a layer that works on each token by itself: it widens the "
        "vector, applies a nonlinear function and narrows it again.",
        "The MLP is useful because it holds much of what a model knows, and does the computation "
        "that needs no other tokens.",
    ),
    Concept(
        ("SwiGLU", "a gated MLP", "the SwiGLU activation"),
        ("gated MLPs",),
        "SwiGLU is an MLP with a gate: one projection, passed through SiLU, is multiplied with "
        "a second projection.",
        "SwiGLU is popular because the gate gives better models for the same number of parameters.",
    ),
    Concept(
        ("RMSNorm", "RMS normalization"),
        (),
        "RMSNorm divides a vector by the root mean square of its entries and multiplies it with "
        "a learned scale.",
        "RMSNorm keeps the size of the vectors stable, and it is cheaper than LayerNorm.",
    ),
    Concept(
        ("layer normalization", "LayerNorm", "layer norm"),
        (),
        "LayerNorm subtracts the mean from a vector, divides it by the standard deviation, and "
        "applies a learned scale and shift.",
        "LayerNorm keeps the size of the vectors stable, so that deep networks can be trained.",
    ),
    Concept(
        ("a residual connection", "the residual stream", "a skip connection"),
        ("residual connections", "skip connections"),
        "A residual connection adds the output of a layer to its input. "
        "The running sum that all layers read and write is called the residual stream.",
        "Residual connections let gradients flow through many layers, so that deep models can "
        "be trained.",
    ),
    Concept(
        ("a layer", "a transformer block", "a transformer layer", "a block"),
        ("transformer layers", "transformer blocks"),
        "A transformer layer is one attention step followed by one MLP, each added to the "
        "residual stream.",
        "More layers let a model build more abstract features out of simple ones.",
    ),
)
