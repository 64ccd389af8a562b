"""Streamlit pages over a store: queries in, widgets out."""
