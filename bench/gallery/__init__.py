"""Frames to look at while a run goes on: in a window, or as pictures in a folder.

A process of its own draws them.  The run hands over one of many, without waiting, and outside the measured spans.
"""

from bench.gallery.gallery import Gallery, GalleryError, check_folder, check_screen

__all__ = ["Gallery", "GalleryError", "check_folder", "check_screen"]
