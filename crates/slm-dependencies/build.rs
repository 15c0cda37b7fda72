//! Nothing to do: without this file the features of build dependencies would not count.

fn main() {}
