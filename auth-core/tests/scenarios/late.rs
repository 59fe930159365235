//! Late rejections: a 401 for a token that has been replaced.
