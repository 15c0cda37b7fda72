//! Terminal views for reviewers.
