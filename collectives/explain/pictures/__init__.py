"""Pictures of a trace for print: SVG, PDF and PNG, of one width and never higher than a page.

style      colours, sizes, and which colour and label a message has
canvas     lines, boxes and text in millimetres; the only file that knows matplotlib
placing    labels that do not lie upon each other
spacetime  ranks across, time down, a line for each message
holdings   what every rank holds, a small grid for each round
phases     which messages belong together
layouts    ranks on a ring, a line, a tree or a hypercube
graph      who talks to whom, phase by phase
traffic    bytes from each rank to each
described  what a picture shows, in words, for those who cannot see it
needs      a file of a form of ours, and matplotlib
sheet      the pictures one below the other, with a heading
"""
