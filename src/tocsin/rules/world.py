from tocsin.model.world import *  # noqa: F403
