"""Stages of training: fit, fine-tune the decoder, the encoder or a text model, fit a mixture."""
