//! Tokenizer, chat template, decoder, checkpoints, LoRA and quantized weights.
