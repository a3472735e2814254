"""What the chapters share: data, networks and their trainings, scores, figures and artefacts.

Each module is named after the one thing it holds, and each function is introduced
in the chapter that teaches it before another chapter imports it from here.
"""
