//! Samples, datasets, splits and the synthesis of training data.
